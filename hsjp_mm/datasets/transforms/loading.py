"""Loading of photographs that are much larger than what is cut out of them."""

from collections import OrderedDict

from mmengine import fileio
from mmpose.datasets.transforms import LoadImage

from hsjp_mm.datasets.encoded_images import EncodedImage, read_encoded
from hsjp_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadScaledImage(LoadImage):
    """The stock LoadImage, which decodes a JPEG file no larger than its crop needs.

    Most of the time of a sample of a photograph of 12 megapixels goes into decoding it. libjpeg can
    decode it at 1/2, 1/4 or 1/8 of its size in less than half of the time. This transform reads
    the file and its head alone. The crop decodes it when its place has been drawn, with scale,
    rotation and shear, at the smallest of these sizes at which no pixel of the crop is smaller than
    one of the image. All coordinates are those of the whole image throughout: boxes, keypoints and
    matrices are as with LoadImage.

    Crops that are not scaled down to a half or less are the same bit for bit as with LoadImage, and
    so are all of files of other formats. Other crops are smoother than the stock ones: each of
    their pixels is a mean of those of the photograph, where the stock crop interpolates between
    four neighbors and leaves out the others. So no config has it by itself; put it into
    ``train_pipeline`` where photographs are large, and into ``val_pipeline`` if the network is to
    see such images in use.

    After it may stand transforms that do not look at the pixels, such as GetBBoxCenterScale,
    RandomBBoxTransform and RandomHalfBody, the stock RandomFlip, and then one of these:
    ``hsjp_mm.InputAffine`` (in place of TopdownAffine, with the same ``input_size``),
    ``TopdownShearAffine``, ``TopdownDenseAffine``, ``MakeViews`` with or without ``SegmentCrop``,
    ``MeshAffine`` and ``RandomMeshAffine``. Others fail, for they find no array.

    A damaged file raises UnreadableImageError in the crop, which the data sets of this package
    count and replace in training; with those of MMPose, which take no notice of damage, it ends
    the run.

    Required, modified and added keys: those of LoadImage. ``img`` is an
    :class:`~hsjp_mm.datasets.encoded_images.EncodedImage` until the crop is cut.

    Args:
        keep: how many of the last photographs each worker keeps, with what has been decoded of
            them, for other crops of them. It gains with ``hsjp_mm.SameImageSampler``, and changes
            no sample. A photograph of 12 megapixels takes up to 36 MB where a crop needs all of
            it, and 9 MB at 1/2.
        backend_args: as in LoadImage.

    Raises:
        ValueError: ``keep`` is negative.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='hsjp_mm.LoadScaledImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.InputAffine', input_size=(224, 224)),
        ...     dict(type='PackPoseInputs'),
        ... ]

        In a config that loads stock, for one run:

        ``--cfg-options train_dataloader.dataset.pipeline.0.type=hsjp_mm.LoadScaledImage``
    """

    reduces = True
    """Tells a data set that reads a store what to do with its crops, as this does with files."""

    def __init__(self, keep: int = 0, *, backend_args: dict | None = None):
        super().__init__(backend_args=backend_args)
        if keep < 0:
            raise ValueError(f'keep={keep} must be at least 0')
        self.keep = keep
        self.kept: OrderedDict[str, EncodedImage] = OrderedDict()

    def transform(self, results: dict) -> dict:
        """Read the file, and decode it if it is no JPEG."""
        if 'img' in results:
            return super().transform(results)
        path = results['img_path']
        label = f' (instance {results["id"]})' if 'id' in results else ''
        image = self.kept.pop(path, None)
        if image is None:
            image = read_encoded(fileio.get(path, backend_args=self.backend_args), path)
        if image is None:
            return super().transform(results)
        if self.keep:
            self.kept[path] = image
            if len(self.kept) > self.keep:
                self.kept.popitem(last=False)
        results['img'] = image.for_sample(label)
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
