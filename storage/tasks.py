"""What Celery calls: the periodic work of storage."""

from storage.operations.uploads import clean_uploads

__all__ = ["clean_uploads"]
