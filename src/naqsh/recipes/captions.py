"""Text to image: StackGAN in two stages, the second on a run of the first.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@recipe
def stackgan_shapes_1() -> Recipe:
    """StackGAN's stage I on rendered shapes, 32x32; needs no download (Zhang et al., 2017).

    A quarter as wide as published.
    """
    from naqsh.methods import stackgan

    return Recipe(
        "",
        Data("shapes", size=32, text="tfidf", text_size=256),
        stackgan.Spec(width=32, critic_width=32),
        Training(epochs=20, schedule="halved", halve_every=5),
    )


@recipe
def stackgan_shapes_2() -> Recipe:
    """StackGAN's stage II on rendered shapes, 64x64, on a run of stackgan-shapes-1."""
    from naqsh.methods import stackgan2

    return Recipe(
        "",
        Data("shapes", size=64, text="tfidf", text_size=256),
        stackgan2.Spec(width=32, critic_width=16, blocks=2),
        Training(epochs=10, schedule="halved", halve_every=3),
    )
