"""What the tokens of a vision transformer look at: windows of an image, one a token.

Letters: B batch, C channels, H and W height and width of an image, L tokens, row by row,
P = C·h·w values of a window, N windows of any images.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """The windows of a patch embedding, a convolution whose stride is its kernel.

    Where the embedding pads, the first row and column of windows reach over the image, and the
    last pixels may be in no window: ViTPose's padding of 2 moves all windows by 2 pixels.

    Attributes:
        image: (H, W) in pixels.
        size: (h, w) of a window.
        padding: rows above and below, and columns on both sides, of zeros.
    """

    image: tuple[int, int]
    size: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        rows, columns = (
            (side + 2 * padding) // step
            for side, padding, step in zip(self.image, self.padding, self.size, strict=True)
        )
        return rows, columns

    @property
    def number(self) -> int:
        """L."""
        return self.grid[0] * self.grid[1]

    def split(self, images: Tensor) -> Tensor:
        """Cut images (B, C, H, W) into windows, (B, L, P); the inverse of :meth:`join`."""
        return F.unfold(images, self.size, padding=self.padding, stride=self.size).transpose(1, 2)

    def join(self, windows: Tensor) -> Tensor:
        """Put windows (B, L, P) together; (B, C, H, W), 0 where there is no window."""
        return F.fold(
            windows.transpose(1, 2), self.image, self.size, padding=self.padding, stride=self.size
        )


def standardise(windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give each window (…, P) a mean of 0 and a variance of 1.

    Returns:
        (…, P); and the means and the standard deviations, (…, 1). A window of one color stays 0.
    """
    variance, mean = torch.var_mean(windows, dim=-1, keepdim=True)
    deviation = (variance + 1e-6).sqrt()
    return (windows - mean) / deviation, mean, deviation


def sums_by_place(values: Tensor, places: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sum windows of several images place by place.

    Args:
        values: (N, P).
        places: (N,) long, from 0 to L − 1.
        number: L.

    Returns:
        How many windows a place has, (L,); their sum, (L, P); and the sum of their squares over
        windows and pixels, (L,).
    """
    counts = torch.bincount(places, minlength=number).to(values.dtype)
    sums = values.new_zeros(number, values.shape[1]).index_add_(0, places, values)
    squares = values.new_zeros(number).index_add_(0, places, values.square().sum(dim=1))
    return counts, sums, squares


def squares_around_means(values: Tensor, places: Tensor, number: int) -> Tensor:
    """Sum the squared differences of windows from the mean window of their place.

    Args:
        values, places, number: as in :func:`sums_by_place`.
    """
    counts, sums, squares = sums_by_place(values, places, number)
    return (squares - sums.square().sum(dim=1) / counts.clamp(min=1)).sum().clamp(min=0)
