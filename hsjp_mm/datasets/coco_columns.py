"""The lists of a COCO-format file, read some entries at a time into arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsjp_mm.datasets.coco_files import Entries, Id, find_results
from hsjp_mm.datasets.instances import Texts, get_ids, id_column, join_columns, take_rows
from hsjp_mm.utils.json_lists import chunks, is_list

IMAGE_KEYS = ('id', 'file_name', 'width', 'height')
BOX_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'score', 'iscrowd')


@dataclass(frozen=True)
class LongList:
    """The entries of a list that is not in memory as dictionaries.

    A message counts wrong entries among those that are read with the first of them.

    Args:
        rows: as :func:`~hsjp_mm.utils.json_lists.use_json` gives a list.
        where: as in Entries.
        keys: of the entries that are needed; all by default.
    """

    rows: Any
    where: str
    keys: Sequence[str] = ()

    def __iter__(self) -> Iterator[Entries]:
        if not is_list(self.rows):
            Entries(self.rows, self.where)  # says so
        start = 0
        for part in chunks(self.rows, self.keys):
            yield Entries(part, self.where, range(start, start + len(part)))
            start += len(part)

    def repeats(self, ids: 'np.ndarray | Texts') -> np.ndarray:
        """Tell which entries repeat an earlier one, word for word, (N,) bool.

        The list is read again, and only where an id is there twice.

        Args:
            ids: of all entries.

        Raises:
            ValueError: two different ones of an id.
        """
        keys = ids if isinstance(ids, np.ndarray) else np.fromiter(map(hash, ids), np.int64)
        order = np.sort(keys)
        twice = order[1:][order[1:] == order[:-1]]
        if not len(twice):
            return np.zeros(len(keys), bool)
        repeated = np.isin(keys, twice)
        rows: list[dict[str, Any]] = []
        for entries in LongList(self.rows, self.where):
            places = entries.places or ()
            rows += entries.take([i for i, place in enumerate(places) if repeated[place]]).rows
        first = Entries(rows, self.where, np.flatnonzero(repeated).tolist()).unique(len(keys))
        repeated[first.places] = False
        return repeated


def read_images(rows: Any, where: str) -> dict[str, Any]:
    """Read a list of images.

    Args:
        rows, where: as in LongList.

    Returns:
        ``image_id``, ``name`` and ``size`` of each image once, as
        :class:`~hsjp_mm.datasets.instances.Instances` has them.

    Raises:
        ValueError: an image without id or name; two different ones of one id; a wrong size.
    """
    images = LongList(rows, where, IMAGE_KEYS)
    parts = [
        (id_column(part.ids('id')), Texts.of(part.texts('file_name')), part.sizes())
        for part in images
    ]
    ids, names, sizes = map(join_columns, zip(*parts, strict=True))
    columns = {'image_id': ids, 'name': names, 'size': sizes}
    repeated = images.repeats(ids)
    if repeated.any():
        once = np.flatnonzero(~repeated)
        return {key: take_rows(column, once) for key, column in columns.items()}
    return columns


@dataclass(frozen=True)
class Results:
    """The results of a detector, some at a time; see :func:`~.coco_files.read_results`.

    Args:
        content: as :func:`~hsjp_mm.utils.json_lists.use_json` gives it.
        name: of the file, for messages.
        category_id: of all results, if none of them says its own.
    """

    content: Any
    name: str
    category_id: Id | None = None

    def __iter__(self) -> Iterator[Entries]:
        where, rows = find_results(self.content, self.name)
        bare = set()
        for results in LongList(rows, where, BOX_KEYS):
            bare.add(not any('category_id' in row for row in results))
            if len(bare) > 1 and self.category_id is not None:
                raise ValueError(f'{where}: some entries have a category_id, and others have none')
            if True in bare and self.category_id is not None:
                for row in results:
                    row['category_id'] = self.category_id
            yield results


@dataclass(frozen=True)
class Taken:
    """What is taken of some boxes.

    Args:
        ids: of all of them.
        left_out: (N,) uint8, 0 for those taken, or the number of the reason from 1.
        columns: of those taken, as :class:`~hsjp_mm.datasets.instances.Instances` has them.
    """

    ids: 'np.ndarray | Texts'
    left_out: np.ndarray
    columns: dict[str, Any]


def join_taken(parts: Sequence[Taken], boxes: Any) -> Taken:
    """Put what is taken together; an entry of ``boxes`` that repeats another one is left out.

    Args:
        parts: in their order.
        boxes: a LongList, or Results, which have no ids of their own.
    """
    ids = join_columns([part.ids for part in parts])
    left_out = np.concatenate([part.left_out for part in parts])
    columns = {key: join_columns([part.columns[key] for part in parts]) for key in parts[0].columns}
    repeated = boxes.repeats(ids) if isinstance(boxes, LongList) else np.zeros(len(ids), bool)
    if repeated.any():
        once = np.flatnonzero(~repeated[left_out == 0])
        columns = {key: take_rows(column, once) for key, column in columns.items()}
        left_out = left_out[~repeated]
    return Taken(ids, left_out, columns)


def numbered(ids: 'np.ndarray | Texts') -> dict[Id, int]:
    """The place of each id."""
    return {key: number for number, key in enumerate(get_ids(ids))}
