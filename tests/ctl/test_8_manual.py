"""The manual page and the completions, as the build makes them from sweepctl's tables."""
import shutil
import subprocess

import pytest


def listed_verbs(place):
    lines = place.run("--help").stdout.splitlines()
    return {line.split()[0] for line in lines if line.startswith("  ") and line[2:3].islower()}


def test_the_manual_names_every_verb_and_option(place):
    page = place.run("manual", "man").stdout
    for verb in listed_verbs(place) - {"-?,"}:
        assert f".SS {verb}" in page
    assert "\\-\\-exit\\-status" in page and ".TP\n124\n" in page
    assert "manual" not in listed_verbs(place)


@pytest.mark.skipif(not shutil.which("man"), reason="no man")
def test_the_manual_is_clean_roff(place, tmp_path):
    page = tmp_path / "sweepctl.1"
    page.write_text(place.run("manual", "man").stdout)
    done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LANG": "C.UTF-8"})
    assert done.stderr == "" and "EXIT STATUS" in done.stdout


def complete(place, tmp_path, *words):
    """What bash offers for the last of the words."""
    script = tmp_path / "completion.bash"
    script.write_text(place.run("manual", "bash").stdout)
    import conftest
    line = " ".join(f"'{w}'" for w in words)
    program = (f"sweepctl() {{ {conftest.SWEEPCTL} \"$@\"; }}; source {script}; COMP_WORDS=(sweepctl {line}); "
               f"COMP_CWORD={len(words)}; _sweepctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, env=place.env,
                          cwd=tmp_path)
    return set(done.stdout.split())


def test_bash_completes_verbs_options_targets_and_parameters(grid, tmp_path):
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "other.txt").write_text("")
    assert complete(grid, tmp_path, "res") == {"results", "resume"}
    assert "--exit-status" in complete(grid, tmp_path, "watch", "--e")
    assert {"s1", "grid", "5"} <= complete(grid, tmp_path, "show", "")
    assert complete(grid, tmp_path, "submit", "-o", "plateau_p") == {"plateau_patience="}
    assert complete(grid, tmp_path, "submit", "") >= {"mine.yaml"}
    assert "other.txt" not in complete(grid, tmp_path, "submit", "")
    assert complete(grid, tmp_path, "daemon", "sta") == {"start", "status"}
