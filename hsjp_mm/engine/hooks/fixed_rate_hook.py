"""A learning rate that stays where the others fall."""

from mmengine.hooks import Hook

from hsjp_mm.registry import HOOKS


@HOOKS.register_module()
class FixedRateHook(Hook):
    """Keep the learning rate of some parameters as it begins, whatever the schedule.

    SimSiam's predictor is trained so (`Exploring Simple Siamese Representation Learning
    <https://arxiv.org/abs/2011.10566>`_, appendix A). mmpretrain's SimSiamHook wants the rate as a
    number of its own, which neither ``--auto-scale-lr`` nor a changed ``lr`` reaches. The
    parameters are those that ``paramwise_cfg`` marks by ``fix_lr``.

    Raises:
        ValueError: No parameter is marked.

    Examples:
        >>> optim_wrapper = dict(
        ...     paramwise_cfg=dict(custom_keys={'predictor': dict(fix_lr=True)}),
        ... )
        >>> custom_hooks = [dict(type='hsjp_mm.FixedRateHook')]
    """

    def before_train(self, runner) -> None:
        """See that there is such a parameter."""
        if not any(group.get('fix_lr') for group in runner.optim_wrapper.param_groups):
            raise ValueError(
                'FixedRateHook: optim_wrapper.paramwise_cfg.custom_keys must mark a parameter by '
                'fix_lr=True'
            )

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Take back what the schedule has done."""
        for group in runner.optim_wrapper.param_groups:
            if group.get('fix_lr'):
                group['lr'] = group.get('initial_lr', group['lr'])
