"""What data sets do with images that cannot be read: in training they are counted and replaced."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log

from hsjp_mm.datasets.encoded_images import EncodedImage
from hsjp_mm.datasets.image_files import UnreadableImageError, decoding
from hsjp_mm.datasets.instances import Rows


class ReadableImageDataset(BaseDataset):
    """Takes another sample, in training, in place of one whose image cannot be read.

    An image that is missing, damaged or not the one that is annotated is reported once with its
    path; the sample in its place carries the paths in its meta value ``skipped``, which
    ``hsjp_mm.SkippedImagesHook`` counts. With ``test_mode=True`` it is an error. A sample that a
    transform leaves out, which returns None, is replaced in silence, as in MMEngine.

    Attributes:
        num_images: of the source; ``load_data_list`` sets it, and gives each sample ``id``,
            ``img_path`` and ``img_index``, the number of its image among them.
    """

    data_list: Any
    num_images: int

    def full_init(self) -> None:
        """Load the annotations; see BaseDataset."""
        if self._fully_initialized:
            return
        super().full_init()
        # by image and in shared memory, so that of all workers one reports it
        self.reported = torch.zeros(self.num_images, dtype=torch.uint8).share_memory_()

    def _get_unserialized_subset(self, indices: int | Sequence[int]):
        if isinstance(self.data_list, Rows):
            return self.data_list.take(indices)
        return super()._get_unserialized_subset(indices)

    def require_image(self, path: str) -> None:
        """Raise if the first image is not there, for then probably none is."""
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'the first image, {path}, does not exist: are data_root={self.data_root!r} and '
                f'data_prefix={self.data_prefix} right?'
            )

    def check_image(self, sample: dict) -> None:
        """See that a loaded image is the one that is annotated; raises UnreadableImageError."""

    def load_image(self, transform: LoadImageFromFile, sample: dict) -> dict:
        """Load the image of a sample, and see that it is the one that is annotated.

        Args:
            transform: that of the pipeline which loads images.
            sample: what is known of it.

        Raises:
            UnreadableImageError: the image cannot be read, is damaged or not the one annotated.
        """
        with decoding(sample['img_path'], f' (instance {sample["id"]})'):
            sample = transform(sample)
        self.check_image(sample)
        return sample

    @force_full_init
    def __getitem__(self, index: int) -> dict:
        """Get a sample; in training, in place of one that cannot be read, a random other one."""
        if self.test_mode:
            return super().__getitem__(index)
        skipped: list[str] = []
        for _ in range(self.max_refetch + 1):
            try:
                data = self.prepare_data(index)
            except UnreadableImageError as error:
                skipped.append(error.path)
                self._report(self.get_data_info(index)['img_index'], error)
                reason = error
                index = self._rand_another()
                continue
            if data is None:
                index = self._rand_another()
                continue
            if skipped:
                _note(data, skipped)
            return data
        if not skipped:
            raise RuntimeError(
                f'a transform leaves out all of {self.max_refetch + 1} drawn samples'
            )
        raise RuntimeError(
            f'none of {len(skipped)} drawn images could be read, {len(set(skipped))} different '
            f'ones, such as {", ".join(sorted(set(skipped))[:10])}; the last one: {reason}'
        )

    def _report(self, image: int, error: UnreadableImageError) -> None:
        if not self.reported[image]:
            self.reported[image] = 1
            print_log(f'{type(self).__name__}: skipped, {error}', 'current', logging.WARNING)

    def prepare_data(self, index: int) -> dict | None:
        """Load the image of a sample and run the pipeline; None if a transform leaves it out.

        Raises:
            UnreadableImageError: the image cannot be read, is damaged or not the one annotated.
            TypeError: a transform that takes an array comes after ``hsjp_mm.LoadScaledImage``, or
                after an image of a store.
        """
        sample = self.get_data_info(index)
        for transform in self.pipeline.transforms:
            if isinstance(transform, LoadImageFromFile):
                sample = self.load_image(transform, sample)
            else:
                sample = _run(transform, sample)
            if sample is None:
                return None
        return sample


def _note(data: dict, skipped: list[str]) -> None:
    """Tell what a sample stands in for; one that is not packed yet, as in a CombinedDataset."""
    if 'data_samples' in data:
        data['data_samples'].set_metainfo({'skipped': skipped})
    else:
        data['skipped'] = skipped


def _run(transform: Callable, sample: dict) -> dict:
    try:
        return transform(sample)
    except (TypeError, AttributeError, cv2.error) as error:
        if isinstance(sample.get('img'), EncodedImage):
            raise TypeError(
                f'{type(transform).__name__} cannot take the image of hsjp_mm.LoadScaledImage or '
                'of a store, which is decoded in the crop; see that transform for what may come '
                'after it, such as hsjp_mm.InputAffine in place of TopdownAffine'
            ) from error
        raise
