"""SwAV's two large views, without its small ones."""

two_views = [
    dict(
        num=2,
        area=(0.14, 1.0),
        flip_prob=0.5,
        colors=dict(
            brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter_prob=0.8,
            gray_prob=0.2, blur_prob=0.5, blur_sigma=(0.1, 2.0), solarize_prob=0.0,
        ),
    )
]  # fmt: skip
