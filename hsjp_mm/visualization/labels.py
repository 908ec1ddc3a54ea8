"""Texts that users give, as Matplotlib has to be given them to write them as they are."""

ZERO_WIDTH = '\u200b'


def plain_label(text: str) -> str:
    """Keep Matplotlib from reading a text as a formula, or as one that no legend shows.

    It typesets what stands between two ``$``, and ends in an error where that is no formula. A
    legend leaves out what begins with ``_``, so a space of no width goes before it.

    Args:
        text: Such as the name of a run.
    """
    escaped = text.replace('$', r'\$')
    return f'{ZERO_WIDTH}{escaped}' if escaped.startswith('_') else escaped
