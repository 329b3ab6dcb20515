"""The report reads what the trainer writes today, not what it wrote when the report was made."""

from pages import Page

from naqsh import report


def test_all_that_training_writes_is_used(tmp_path):
    from naqsh import api

    trained = api.train(
        "gan-digits",
        out=tmp_path / "run",
        overrides={"training.steps": 60},
        device="cpu",
        quiet=True,
    )
    page = Page(report.write(trained.folder.path, tmp_path / "page.html").read_text("utf-8"))
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    assert result["finished"] is True
    figures = {"grids", "losses", "terms-1", "terms-2", "gradients", "weights", "speed"}
    assert {f"figure-{name}" for name in figures} <= set(page.ids())
    unknown = [key for key, value in result["summary"].items() if value is None]
    assert unknown == ["second", "planned"]  # one domain, trained for a number of steps
