"""Operations on storage. Importing the package registers them with jobs."""

from storage.operations import catalogue, images, pools, search, uploads, volumes

__all__ = ["catalogue", "images", "pools", "search", "uploads", "volumes"]
