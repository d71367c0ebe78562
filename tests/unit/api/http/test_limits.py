"""The limits of all areas as one object."""

import msgspec
import pytest
from litestar.exceptions import ImproperlyConfiguredException
from parlance.api.http import limits


class OfOneArea(msgspec.Struct):
    max_things: int = 1


class OfAnotherArea(msgspec.Struct):
    max_other_things: int = 2


def test_limits_of_several_areas_stand_beside_each_other() -> None:
    limits.build_route([OfOneArea(), OfAnotherArea()], {})


def test_two_limits_of_one_name_keep_the_application_from_starting() -> None:
    with pytest.raises(ImproperlyConfiguredException, match="max_things"):
        limits.build_route([OfOneArea(), OfAnotherArea(), OfOneArea(max_things=3)], {})
