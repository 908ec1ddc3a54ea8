"""The number of a validation of a training, which a resumed run goes on counting."""

from itertools import pairwise

from mmengine.runner import BaseLoop, IterBasedTrainLoop


def validation_number(runner) -> int:
    """Count the validations of a training up to the present one, this included.

    They are counted from the progress and the intervals of the training loop rather than as they
    come: hooks begin anew after a resume, and a checkpoint is saved before the validation of the
    same step.

    Returns:
        1 for the first; 0 without a training, in a validation alone.
    """
    loop = runner._train_loop  # of `train_loop` it would be built
    if not isinstance(loop, BaseLoop):
        return 0
    if isinstance(loop, IterBasedTrainLoop):
        now, last = loop.iter, loop.max_iters
    else:
        now, last = loop.epoch, loop.max_epochs
    # the interval is chosen for the step to come: that of a milestone holds from the step before
    starts = [max(milestone - 1, loop.val_begin, 1) for milestone in loop.dynamic_milestones]
    parts = zip(pairwise([*starts, now + 1]), loop.dynamic_intervals, strict=True)
    number = sum(
        max(0, (min(stop, now + 1) - 1) // interval - (start - 1) // interval)
        for (start, stop), interval in parts
    )
    return number + (now == last and now % loop.val_interval != 0)
