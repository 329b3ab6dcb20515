"""What a recipe says of a method and of its optimisers: numbers only, no tensors.

Everything here is a frozen dataclass that :mod:`naqsh.io.codec` writes as YAML. PyTorch is imported
when something is built, not before, so that listing recipes stays quick.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, TypeVar

if TYPE_CHECKING:
    from naqsh.core.method import Method

Value = TypeVar("Value")

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


@dataclass(frozen=True)
class Layout:
    """Which columns a data set's batches have; known before an image is read, kept with weights.

    Attributes:
        shape: (C, H, W) of the images.
        classes: the names of the labels; empty where there are none.
        caption: numbers in the embedding of a caption; 0 where there are no captions.
        second: (C, H, W) of the images of a second domain; None where there is none.
        paired: whether each image has a partner in the second domain.
        extent: of points, coordinates reach from -extent to extent; 0 for images. A point is an
            image of 2 channels and one pixel, whose value v stands for (2 v - 1) extent.
    """

    shape: Shape
    classes: tuple[str, ...] = ()
    caption: int = 0
    second: Shape | None = None
    paired: bool = False
    extent: float = 0.0


Precision = Literal["auto", "float32", "bfloat16"]
"""What networks compute in; auto takes bfloat16 where the hardware has it."""


def later(default: Value) -> Value:
    """The default of a field that a method got after recipes of it were written.

    As long as it has its default, the fingerprint of a recipe is what it was without the field.
    """
    made: Value = field(default=default, metadata={"later": True})
    return made


@dataclass(frozen=True)
class MethodSpec:
    """Hyperparameters of a method; each module of :mod:`naqsh.methods` derives its ``Spec``."""

    @property
    def kind(self) -> str:
        """The method's name in a recipe: that of the module which defines it."""
        return type(self).__module__.rpartition(".")[2]

    def build(self, layout: Layout) -> "Method":
        """The method with fresh networks for batches that have the columns of `layout`.

        Raises:
            ValueError: it cannot be built for them; says why.
        """
        raise NotImplementedError

    def tiny(self) -> Self:
        """The same method with the smallest networks that still have every part.

        What tests and quick looks use: it is built and trained for a few steps in well under a
        second on images of 16x16, and is of no use otherwise. A method of small networks, or of
        none, leaves it as it is here.
        """
        return self


@dataclass(frozen=True)
class Parent:
    """The run that a method stands on, as a field of its ``Spec``: stage I of two, an autoencoder.

    A method keeps it under the field's name: ``self.first = Frozen(spec.first.build())`` for a
    field ``first``. A user names the run; training fills in the rest, so that a recipe, and a file
    of weights with it, is complete and the run need not be there any more.

    Attributes:
        run: its folder.
        weights: the best, or the last where it kept no best; or the last.
        sha256: of the file of its weights.
        method: what it trained.
        layout: the columns of its batches.
    """

    run: str = ""
    weights: Literal["best", "last"] = "best"
    sha256: str = ""
    method: MethodSpec | None = None
    layout: Layout | None = None

    def build(self) -> "Method":
        """Its method, with fresh weights.

        Raises:
            ValueError: no run was named yet.
        """
        if self.method is None or self.layout is None:
            raise ValueError("it stands on another run, and none is named")
        return self.method.build(self.layout)
