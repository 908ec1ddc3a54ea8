"""Samples of data sets in arrays: workers share arrays, where each copies a list of dictionaries.

Reading a Python object counts its references, which writes into it, and what is written to after a
process has split in two is copied. An array is one object, whatever it holds.
"""

import copy
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from hsjp_mm.datasets.image_files import local_name

Id = int | str
Self = TypeVar('Self', bound='Rows')
STORED = ('stored', 'shard')
"""What a sample has of a store."""
STEP = 100_000
"""Values that are made Python objects at a time."""


class Rows(Sequence):
    """The ``data_list`` of a data set of MMEngine: rows of arrays, each of which is a dictionary.

    For ``serialize_data=False``. A part of it shares the arrays.

    Args:
        rows: (N,) which rows are taken, in their order.
    """

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def sample(self, row: int) -> dict[str, Any]:
        """Make the dictionary of a row, of objects that nobody else has."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._with(self.rows[index])
        return self.sample(int(self.rows[index]))

    def take(self: Self, indices: int | Sequence[int] | np.ndarray) -> Self:
        """Some of them; a whole number means the first ones, or the last ones if below 0."""
        if isinstance(indices, int):
            return self[:indices] if indices >= 0 else self[indices:]
        return self._with(self.rows[np.asarray(indices, int)])

    def _with(self: Self, rows: np.ndarray) -> Self:
        taken = copy.copy(self)
        taken.rows = rows
        return taken

    def __deepcopy__(self: Self, memo: dict) -> Self:
        return self  # nothing in it changes


class Texts(Sequence):
    """Texts, one after another in an array of bytes.

    Args:
        data: (B,) uint8, UTF-8.
        ends: (N,) where each text ends.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray):
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> 'Texts':
        """Pack texts. Names of files may hold bytes that are no UTF-8, as lone surrogates."""
        encoded = [text.encode('utf-8', 'surrogatepass') for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        return cls(np.frombuffer(b''.join(encoded), np.uint8), ends)

    @classmethod
    def join(cls, parts: Sequence['Texts']) -> 'Texts':
        """Put some one after another."""
        sizes = np.cumsum([0, *(len(part.data) for part in parts)])
        ends = [part.ends + size for part, size in zip(parts, sizes, strict=False)]
        return cls(np.concatenate([part.data for part in parts]), np.concatenate(ends))

    def take(self, indices: np.ndarray) -> 'Texts':
        """Some of them."""
        return Texts.of(self[int(index)] for index in indices)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index):  # no slices
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = int(self.ends[index - 1]) if index else 0
        return self.data[start : int(self.ends[index])].tobytes().decode('utf-8', 'surrogatepass')


def id_column(ids: Sequence[Id]) -> 'np.ndarray | Texts':
    """Pack ids: whole numbers, or texts that hold them as JSON."""
    numbers = np.array(ids) if set(map(type, ids)) <= {int} else np.array(None)
    if not ids or numbers.dtype == np.int64:
        return numbers.astype(np.int64)
    return Texts.of(map(json.dumps, ids))


def get_id(column: 'np.ndarray | Texts', row: int) -> Id:
    """One id of a column."""
    return json.loads(column[row]) if isinstance(column, Texts) else int(column[row])


def get_ids(column: 'np.ndarray | Texts') -> Iterator[Id]:
    """All of them."""
    if isinstance(column, Texts):
        yield from map(json.loads, column)
        return
    for start in range(0, len(column), STEP):
        yield from column[start : start + STEP].tolist()


def take_rows(column: 'np.ndarray | Texts', rows: np.ndarray) -> 'np.ndarray | Texts':
    """Some rows of a column."""
    return column.take(rows) if isinstance(column, Texts) else column[rows]


def join_columns(parts: Sequence['np.ndarray | Texts']) -> 'np.ndarray | Texts':
    """Put parts of a column one after another; ids may be numbers in one and texts in another."""
    if not any(isinstance(part, Texts) for part in parts):
        return np.concatenate(parts)  # type: ignore[arg-type]
    return Texts.join(
        [part if isinstance(part, Texts) else Texts.of(map(str, part.tolist())) for part in parts]
    )


def join_path(folder: str, name: str) -> str:
    """The path of an image, with separators that exist here."""
    return os.path.join(folder, local_name(folder, name))


class Instances(Rows):
    """Boxes, or whole images, as :class:`~hsjp_mm.datasets.PersonCropDataset` gives them.

    Letters: M instances, I images.

    Args:
        columns: of the instances ``image`` (M,), the number of the image; ``id``, as
            :func:`id_column` packs them; ``category`` (M,), a place in ``categories``; ``bbox``
            (M, 4); ``score`` (M,); ``annotation``, texts of JSON, with the keys that labels are
            made of; ``stored``, the place of its crop in a store, and ``shard``, the number of the
            file that holds it. Whole images need ``image`` alone, and annotations and crops may be
            missing. Of the images
            ``name``, paths below the folder, and where there are boxes ``image_id``; ``size``
            (I, 2), width and height; and ``measured`` (I,), whether that is of the image itself,
            for the file gives none. NaN is the size of one that could not be read, and of one
            that nobody has asked for.
        categories: ids of the categories.
        folder: of the images.
        rows: (N,) which instances are taken; all by default.
    """

    def __init__(
        self,
        columns: Mapping[str, 'np.ndarray | Texts'],
        categories: Sequence[Id] = (),
        folder: str = '',
        rows: np.ndarray | None = None,
    ):
        super().__init__(np.arange(len(columns['image'])) if rows is None else rows)
        self.columns, self.categories, self.folder = columns, categories, folder

    @property
    def names(self) -> Texts:
        """Of all images, with instances or without, (I,)."""
        return self.columns['name']  # type: ignore[return-value]

    @property
    def images(self) -> np.ndarray:
        """The number of each instance's image, (N,)."""
        return self.columns['image'][self.rows]  # type: ignore[index]

    @property
    def shards(self) -> np.ndarray:
        """The number of the file that holds each instance's crop, (N,), of those of a store."""
        return self.columns['shard'][self.rows]  # type: ignore[index]

    def ids(self) -> Iterator[Id]:
        """Of the instances."""
        if 'id' in self.columns:
            return get_ids(take_rows(self.columns['id'], self.rows))
        return (self.names[image] for image in self.images.tolist())

    def path(self, image: int) -> str:
        """Of an image."""
        return join_path(self.folder, self.names[image])

    def _image(self, row: int) -> int:
        return int(self.columns['image'][row])

    def sample(self, row: int) -> dict[str, Any]:
        """Make the dictionary of an instance."""
        columns: Any = self.columns
        image = self._image(row)
        place = {'img_path': self.path(image), 'img_index': image}
        place |= {key: int(columns[key][row]) for key in STORED if key in columns}
        if 'bbox' not in columns:
            name = self.names[image]
            return {'id': name, 'img_id': name, **place}  # names stay if files are added
        sample = {
            'id': get_id(columns['id'], row),
            'img_id': get_id(columns['image_id'], image),
            **place,
            'category_id': self.categories[columns['category'][row]],
            'bbox': columns['bbox'][row : row + 1].copy(),
            'bbox_score': columns['score'][row : row + 1].copy(),
        }
        if 'annotation' in columns:
            sample['annotation'] = json.loads(columns['annotation'][row])
        return sample

    def with_crops(self, places: np.ndarray, shards: np.ndarray) -> 'Instances':
        """Those that a store has a crop of, each with ``stored`` and ``shard``.

        Args:
            places: (N,) of their crops, below 0 for those without.
            shards: (N,) the numbers of the files that hold these.
        """
        kept = places >= 0
        columns = dict(self.columns)
        for name, values in zip(STORED, (places, shards), strict=True):
            column = np.full(len(self.columns['image']), -1)
            column[self.rows] = values
            columns[name] = column
        return Instances(columns, self.categories, self.folder, self.rows[kept])
