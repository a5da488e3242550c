"""Operations on storage. Importing the package registers them with jobs."""

from storage.operations import images, pools, uploads, volumes

__all__ = ["images", "pools", "uploads", "volumes"]
