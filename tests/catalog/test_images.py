import pytest

from kvmwizard.catalog.images import image_of, kernel_release


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("4.8.5", "4.8.5-own"),
        ("6.12", "6.12.0-own"),
        ("6.12-rc3", "6.12.0-rc3-own"),
        ("2.6.39.4", "2.6.39.4-own"),
        ("2.6.39", "2.6.39-own"),
    ],
)
def test_a_release_has_three_numbers_at_least(version: str, release: str) -> None:
    assert kernel_release(version, "-own") == release


def test_what_is_no_version_has_no_release() -> None:
    with pytest.raises(ValueError, match="next"):
        kernel_release("next", "")


def test_the_image_lies_in_its_architectures_folder() -> None:
    for architecture in ("x86_64", "aarch64", "s390x", "riscv64"):
        image = image_of(architecture)
        assert image is not None
        assert image.path.startswith(f"arch/{image.source}/boot/")
    assert image_of("m68k") is None
