"""Translation between two domains: CycleGAN without pairs, pix2pix with them.

Methods import PyTorch, which listing recipes must not: each function imports what it needs.
"""

from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@recipe
def cyclegan_digits() -> Recipe:
    """CycleGAN between the small digits and their negatives, unpaired; needs no download.

    Without the identity term, which asks that brightness stays: with it digits became negatives of
    other digits, which the cycle does not forbid.
    """
    from naqsh.methods import cyclegan

    return Recipe(
        "",
        Data("digits", second="inverted"),
        cyclegan.Spec(width=8, critic_width=16, blocks=2, identity=0.0),
        Training(epochs=8, batch=10, schedule="constant-linear"),
    )
