"""Annotation files of COCO's format, and results of detectors: read and checked in one place.

Not by the COCO tools, which take the last of several entries of one id, match ids of different
types with nothing, and end a file that lacks a key in a bare KeyError.

What can be understood without doubt is read: an id is the same as 7, 7.0 or '7', an entry that
stands in the list twice, word for word, counts once, categories of one name belong together.
Everything else is a ValueError that names the file, the entry, the key and what is allowed.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from hsjp_mm.utils.files import read_json
from hsjp_mm.utils.json_lists import is_list

Id = int | str
WHOLE_NUMBER = re.compile('0|-?[1-9][0-9]{,17}')
"""As Python writes it: '007' may be another id than '7'."""
LISTS = ('images', 'categories', 'annotations')
ALLOWED = {
    'id': 'a whole number or a text that no other entry of the list has',
    'image_id': 'the id of an image',
    'category_id': 'the id of a category',
    'name': 'a text',
    'file_name': 'the path of the image below the folder of images',
    'width': 'the width of the image in pixels',
    'height': 'the height of the image in pixels',
    'bbox': 'left, top, width and height in pixels, four finite numbers',
    'score': 'a finite number',
    'iscrowd': '0 or 1',
    'keypoints': 'x, y and visibility (or score) of each keypoint in turn, finite numbers',
    'num_keypoints': 'how many keypoints are labelled',
    'area': 'a finite number of square pixels',
    'joints': 'x and y of each keypoint, finite numbers',
    'joints_vis': 'a number for each keypoint, 0 where it is not labelled',
    'center': 'x and y in pixels, two finite numbers',
    'scale': 'a finite number of 200 pixels',
}
"""What the keys of an entry hold, in the words of a message."""


@dataclass(frozen=True)
class Entries:
    """A list of dictionaries from a file, in which each message can say where it is about.

    Args:
        rows: the dictionaries.
        where: file and list, such as ``"ann_file='a.json': annotations"``.
        places: of the rows in that list, if it has more.

    Raises:
        ValueError: ``rows`` is not a list of dictionaries.
    """

    rows: list[dict[str, Any]]
    where: str
    places: Sequence[int] | None = None

    def __post_init__(self):
        if not isinstance(self.rows, list):
            raise ValueError(f'{self.where} must be a list, not {_kind(self.rows)}')
        if set(map(type, self.rows)) <= {dict}:
            return
        index = next(i for i, row in enumerate(self.rows) if not isinstance(row, dict))
        place = index if self.places is None else self.places[index]
        raise ValueError(
            f'{self.where}[{place}] must be a dictionary, not {_kind(self.rows[index])}'
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    def take(self, indices: Sequence[int]) -> 'Entries':
        """Only some of the entries."""
        places = indices if self.places is None else [self.places[index] for index in indices]
        return Entries([self.rows[index] for index in indices], self.where, places)

    def error(self, row: dict[str, Any], message: str) -> ValueError:
        """Make the error about an entry."""
        if 'id' in row:
            return ValueError(f'{self.where}, id {row["id"]!r}: {message}')
        index = next(i for i, other in enumerate(self.rows) if other is row)
        index = index if self.places is None else self.places[index]
        return ValueError(f'{self.where}[{index}]: {message}')

    def column(self, key: str, hint: str = '') -> list[Any]:
        """Get a key's value of every entry.

        Args:
            key: of all entries.
            hint: what to do if it is missing.

        Raises:
            ValueError: an entry is without it.
        """
        try:
            return [row[key] for row in self.rows]
        except KeyError:
            without = [row for row in self.rows if key not in row]
            raise self.error(
                without[0],
                f'has no {key!r}, {ALLOWED.get(key, "which is needed")}; {len(without)} of '
                f'{len(self)} entries are without it{hint}',
            ) from None

    def ids(self, key: str) -> list[Id]:
        """Get the ids under a key, each in its one form, which the entries then have too.

        Whole numbers become ints, also those that are written as 7.0 or '7'; other texts stay.

        Raises:
            ValueError: an entry is without it, or it is no id.
        """
        values = self.column(key)
        if set(map(type, values)) <= {int}:
            return values
        for index, (row, value) in enumerate(zip(self.rows, values, strict=True)):
            number = _plain_id(value)
            if number is None:
                raise self.error(row, f'{key}={value!r} must be {ALLOWED[key]}')
            row[key] = values[index] = number
        return values

    def texts(self, key: str) -> list[str]:
        """Get the texts under a key.

        Raises:
            ValueError: an entry is without it, or it is no text, or an empty one.
        """
        values = self.column(key)
        for row, value in zip(self.rows, values, strict=True):
            if not isinstance(value, str) or not value:
                raise self.error(row, f'{key}={value!r} must be {ALLOWED[key]}')
        return values

    def flags(self, key: str) -> np.ndarray:
        """Get what is 0 or 1, and 0 where it is missing or null: (N,) bool.

        Raises:
            ValueError: it is something else.
        """
        values = [row.get(key) or 0 for row in self.rows]
        if not set(map(type, values)) <= {int, bool, float} or not set(values) <= {0, 1}:
            row, value = next(
                (row, value)
                for row, value in zip(self.rows, values, strict=True)
                if value not in (0, 1)
            )
            raise self.error(row, f'{key}={value!r} must be {ALLOWED[key]}')
        return np.array(values, bool)

    def numbers(
        self, key: str, *shape: int, default: float | None = None, hint: str = ''
    ) -> np.ndarray:
        """Get the finite numbers under a key.

        One rule holds for all: what is null, of another length, a text, NaN or infinite is an
        error, for a file in which one entry is written wrong may be wrong in all of them.

        Args:
            key: of all entries.
            shape: of an entry's numbers, such as 4 for four in a list; none for one number.
            default: stands in where the key is missing.
            hint: what to do if it is missing.

        Returns:
            (N, *shape).

        Raises:
            ValueError: an entry is without it, or it is not that many finite numbers.
        """
        if default is None:
            values = self.column(key, hint)
        else:
            values = [row.get(key, default) for row in self.rows]
        whole = len(values), *shape
        if not values:
            return np.zeros(whole)
        try:
            array = np.array(values)
        except ValueError:  # lists of different lengths
            array = np.array(None)
        if array.dtype.kind in 'iuf' and array.shape == whole and np.isfinite(array).all():
            return array.astype(float)
        wrong = [
            (row, value)
            for row, value in zip(self.rows, values, strict=True)
            if not _are_numbers(value, shape)
        ]
        if not wrong:  # of several kinds, such as whole numbers that only a float holds
            return np.array(values, float).reshape(whole)
        row, value = wrong[0]
        count = f', of shape {shape}' if len(shape) and key not in ('bbox', 'center') else ''
        raise self.error(
            row,
            f'{key}={_short(value)} must be {ALLOWED[key]}{count}; {len(wrong)} of {len(self)} '
            'entries are wrong',
        )

    def sizes(self) -> np.ndarray:
        """Get width and height (N, 2) in pixels; NaN where an entry does not say.

        It does not where they are missing, null or 0.

        Raises:
            ValueError: a size that is no number, or negative.
        """
        sizes = np.empty((len(self), 2))
        for column, key in enumerate(('width', 'height')):
            values = [row.get(key) or 0 for row in self.rows]
            if not set(map(type, values)) <= {int, float} or not all(
                0 <= value < np.inf for value in values
            ):
                for row in self.rows:
                    value = row.get(key) or 0
                    if not _are_numbers(value, ()) or value < 0:
                        raise self.error(row, f'{key}={value!r} must be {ALLOWED[key]}')
            sizes[:, column] = values
        sizes[(sizes == 0).any(axis=1)] = np.nan
        return sizes

    def unique(self, total: int | None = None) -> 'Entries':
        """Leave out repeated entries.

        Args:
            total: how many the list has, if these are only some of them.

        Raises:
            ValueError: an entry has no id; two different ones have the same.
        """
        ids = self.ids('id')
        if len(set(ids)) == len(ids):
            return self
        first: dict[Id, int] = {}
        for index, (key, row) in enumerate(zip(ids, self.rows, strict=True)):
            other = self.rows[first.setdefault(key, index)]
            if other is not row and other != row:
                raise self.error(
                    row,
                    f'two different entries have this id, {_difference(other, row)}: number them '
                    'anew, for one would be taken for the other (were files merged?)',
                )
        print_log(
            f'{self.where}: {len(ids) - len(first)} of {total or len(ids)} entries repeat another '
            'one word for word, and are left out',
            'current',
        )
        return self.take(list(first.values()))


@dataclass(frozen=True)
class CocoFile:
    """What a file of COCO's format holds.

    Attributes:
        name: argument and path, for messages.
        content: the whole dictionary. The lists that were asked for are those below.
        images, categories, annotations: each entry once, with a unique ``id``; empty if the list
            was not asked for. Annotations have ``image_id`` and ``category_id``, which need not be
            among the images and categories.
        as_stored: whether these are as they stand in the file: no entry is left out, and no id
            written in another form.
    """

    name: str
    content: dict[str, Any]
    images: Entries
    categories: Entries
    annotations: Entries
    as_stored: bool = True

    def category_ids(self, names: Collection[str]) -> set[Id]:
        """Find categories by their names; several of one name are all taken.

        Raises:
            ValueError: a name that no category has, or no name at all.
        """
        known: dict[str, set[Id]] = {}
        for name, category in zip(self.categories.texts('name'), self.categories, strict=True):
            known.setdefault(name, set()).add(category['id'])
        missing = [name for name in names if name not in known]
        if missing or not names:
            raise ValueError(
                f'category_names={tuple(names)}: {self.name} has no '
                f'{", ".join(missing) or "category chosen"}; it has {", ".join(known)}'
            )
        return set().union(*(known[name] for name in names))

    def sizes(self) -> np.ndarray:
        """Width and height of the images, see :meth:`Entries.sizes`."""
        return self.images.sizes()


def read_coco(
    path: str | Path, argument: str = 'ann_file', lists: Collection[str] = LISTS
) -> CocoFile:
    """Read an annotation file.

    Args:
        path: of the JSON.
        argument: what names it in messages.
        lists: which of 'images', 'categories' and 'annotations' are needed; the others are
            neither checked nor returned. Without categories annotations need not name one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON, or not in this format, see :func:`check_coco`.
    """
    return check_coco(read_json(path, argument), f'{argument}={str(path)!r}', lists)


def check_coco(content: Any, name: str, lists: Collection[str] = LISTS) -> CocoFile:
    """Check what was read from an annotation file.

    Args:
        content: of the JSON. Its ids are brought to one form in place, see :meth:`Entries.ids`.
        name: of the file, for messages.
        lists: as in :func:`read_coco`.

    Raises:
        ValueError: it is no dictionary with these lists of dictionaries; an entry without the
            ids that it needs; two different entries of one id.
    """
    require_lists(content, name, lists)
    content = dict(content)
    found = dict.fromkeys(LISTS, Entries([], name))
    as_stored = True
    for key in lists:
        entries = Entries(content[key], f'{name}: {key}')
        as_stored &= _has_plain_ids(entries)
        found[key] = entries.unique()
        as_stored &= found[key] is entries
        content[key] = found[key].rows
    for key in ('image_id', 'category_id') if 'categories' in lists else ('image_id',):
        found['annotations'].ids(key)
    return CocoFile(name, content, **found, as_stored=as_stored)


def require_lists(content: Any, name: str, lists: Collection[str]) -> None:
    """See that what was read is a dictionary with the lists; arguments as in :func:`check_coco`."""
    if not isinstance(content, dict) or not set(lists) <= content.keys():
        *others, last = (repr(key) for key in LISTS if key in lists)
        raise ValueError(
            f'{name} must be in COCO format, a dictionary with {", ".join(others)} and {last}; it '
            f'holds {_kind(content)}'
        )


def read_results(
    path: str | Path, argument: str = 'bbox_file', category_id: Id | None = None
) -> Entries:
    """Read the results of a detector or of a pose estimator.

    Args:
        path: of a JSON with a list of dictionaries, each with ``image_id``, ``category_id`` and
            what was found; or with a dictionary around it that holds no other list.
        argument: what names it in messages.
        category_id: of all results, if none of them says its own.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON, or no such list; a result without its ids.
    """
    name, rows = find_results(read_json(path, argument), f'{argument}={str(path)!r}')
    results = Entries(rows, name)
    results.ids('image_id')
    if category_id is not None and not any('category_id' in row for row in results):
        for row in results:
            row['category_id'] = category_id
    results.ids('category_id')
    return results


def find_results(content: Any, name: str) -> tuple[str, Any]:
    """Find the list in what was read from a file of results; and its name, for messages."""
    if not isinstance(content, dict):
        return name, content
    lists = [key for key, value in content.items() if is_list(value)]
    if len(lists) != 1 or lists[0] in ('images', 'categories'):
        raise ValueError(
            f'{name} must be a list of detections, or a dictionary with one list; it holds '
            f'{_kind(content)}: is it a file of annotations?'
        )
    return f'{name}: {lists[0]}', content[lists[0]]


def fill_empty_keypoints(coco: CocoFile) -> bool:
    """Write zeros, as COCO does, for the keypoints of persons of whom none is labelled.

    Labelling tools leave the list empty, or write null.

    Args:
        coco: is changed.

    Returns:
        Whether there was such a person.
    """
    empty = [row for row in coco.annotations if row.get('keypoints', 0) in (None, [])]
    given = (row.get('keypoints') for row in coco.annotations)
    length = next((len(points) for points in given if isinstance(points, list) and points), 0)
    for row in empty:
        row['keypoints'] = [0] * length
    return bool(empty)


def _has_plain_ids(entries: Entries) -> bool:
    return all(
        set(map(type, [row.get(key, 0) for row in entries.rows])) <= {int}
        for key in ('id', 'image_id', 'category_id')
    )


def _plain_id(value: Any) -> Id | None:
    """The one form of an id; None if it is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value:
        return int(value) if WHOLE_NUMBER.fullmatch(value) else value
    return value if type(value) is int else None


def _are_numbers(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return type(value) in (int, float) and -np.inf < value < np.inf
    return (
        isinstance(value, list | tuple)
        and len(value) == shape[0]
        and all(_are_numbers(part, shape[1:]) for part in value)
    )


def _difference(one: dict, other: dict) -> str:
    """The first key in which two entries differ, and both values."""
    missing = object()
    for key in {**one, **other}:
        if one.get(key, missing) != other.get(key, missing):
            return f'with {key} {_short(one.get(key))} and {_short(other.get(key))}'
    return ''


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f'{text[:80]}…'


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f'keys {", ".join(map(str, value))}' if value else 'an empty dictionary'
    return 'null' if value is None else 'list' if is_list(value) else type(value).__name__
