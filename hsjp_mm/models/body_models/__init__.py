from hsjp_mm.models.body_models.body_model import Body, BodyModel

__all__ = ['Body', 'BodyModel']
