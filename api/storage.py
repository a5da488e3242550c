"""Pools and images."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Query, Router

from access.rules import PersonRequest, visible
from api.rights import require
from api.schemas import ImageOut, PoolOut, Problem
from storage.models import Image, Pool

pools = Router(tags=["pools"])
images = Router(tags=["images"])


@pools.get("/", response=list[PoolOut])
def list_pools(request: PersonRequest) -> QuerySet[Pool]:
    """All pools with their presence on each host."""
    require(request, "storage.view")
    return visible(request.user, Pool.objects.prefetch_related("presences"))


@pools.get("/{pool_id}", response={200: PoolOut, 404: Problem})
def get_pool(request: PersonRequest, pool_id: int) -> Any:
    require(request, "storage.view")
    return get_object_or_404(visible(request.user, Pool.objects.prefetch_related("presences")), pk=pool_id)


@images.get("/", response=list[ImageOut])
def list_images(request: PersonRequest, name: str = Query("")) -> QuerySet[Image]:
    """All images, newest version of a family first."""
    require(request, "storage.view")
    found = visible(request.user, Image.objects.all())
    return found.filter(name=name) if name else found


@images.get("/{image_id}", response={200: ImageOut, 404: Problem})
def get_image(request: PersonRequest, image_id: int) -> Any:
    require(request, "storage.view")
    return get_object_or_404(visible(request.user, Image.objects.all()), pk=image_id)
