"""The choice between two real Matomos in ``dev/``, without starting one."""

import importlib
import os
from pathlib import Path

import pytest

DEV = Path(__file__).resolve().parents[2] / "dev"
BASE = """\
class Report {
    public function isEnabled(): bool { return true; }
    public function getDimension(): ?Dimension { return null; }
    public function getName() { return $this->name; }
}
"""
REPORT = """\
class Get extends Report {
    public function isEnabled()
    { return false; }
    public function getDimension() { return null; }
    public function getName() { return 'Get'; }
}
"""


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """`dev/matomo_programs.py` with an empty folder of its own."""
    monkeypatch.syspath_prepend(str(DEV))
    programs = importlib.import_module("matomo_programs")
    monkeypatch.setattr(programs, "DEV", tmp_path)
    monkeypatch.setenv("MATOMO", "sid")
    return programs


@pytest.fixture
def matomo(programs, monkeypatch):
    """`dev/matomo.py`: the Matomo of trixie starts, that of sid cannot be set up."""
    matomo = importlib.import_module("matomo")

    def start():
        if programs.suite() == "sid":
            raise matomo.Trouble("Debian sid no longer has the package matomo.")
        return programs.suite()

    monkeypatch.setattr(matomo, "_start", start)
    monkeypatch.setattr(matomo, "stop", lambda: None)
    return matomo


def test_the_two_share_no_folder(programs, monkeypatch):
    places = {}
    for suite in ("sid", "trixie", ""):
        monkeypatch.setenv("MATOMO", suite)
        places[suite] = {programs.home(), programs.prefix(), programs.home().name}
    assert not places["sid"] & places["trixie"]
    assert places[""] == places["trixie"]


def test_an_unknown_suite_is_refused(programs, monkeypatch):
    monkeypatch.setenv("MATOMO", "sit")
    with pytest.raises(programs.Trouble, match="MATOMO=sit is unknown"):
        programs.home()


def test_a_suite_that_has_moved_gives_way_to_the_default(matomo, capsys):
    assert matomo.start() == "trixie"
    # Programs that the tests start are to find the same Matomo.
    assert os.environ["MATOMO"] == "trixie"
    said = capsys.readouterr().out
    assert "Debian sid no longer has the package matomo." in said
    assert "Going on with the Matomo of Debian trixie" in said


def test_trouble_of_a_matomo_that_has_run_is_trouble(matomo, programs):
    """Tests must not pass with another Matomo because sid's has broken since."""
    data = programs.home() / "mariadb"
    data.mkdir(parents=True)
    (data / "provisioned").touch()
    with pytest.raises(matomo.Trouble):
        matomo.start()
    assert os.environ["MATOMO"] == "sid"


def test_reports_get_the_return_types_of_their_base(programs):
    base = programs.app() / "core/Plugin/Report.php"
    report = programs.app() / "plugins/Any/Reports/Get.php"
    for path, text in ((base, BASE), (report, REPORT)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    for _again in range(2):
        programs._complete_reports()
        # A type that the file does not import would be another class there.
        assert report.read_text() == REPORT.replace("isEnabled()", "isEnabled(): bool")
