from hsjp_mm.models.data_preprocessors.views_data_preprocessor import ViewsDataPreprocessor

__all__ = ['ViewsDataPreprocessor']
