"""Loading of photographs that are much larger than what is cut out of them."""

from mmengine import fileio
from mmpose.datasets.transforms import LoadImage

from hsjp_mm.datasets.encoded_images import read_encoded
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
        backend_args: as in LoadImage.

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

    def __init__(self, *, backend_args: dict | None = None):
        super().__init__(backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """Read the file, and decode it if it is no JPEG."""
        if 'img' in results:
            return super().transform(results)
        path = results['img_path']
        label = f' (instance {results["id"]})' if 'id' in results else ''
        image = read_encoded(fileio.get(path, backend_args=self.backend_args), path, label)
        if image is None:
            return super().transform(results)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
