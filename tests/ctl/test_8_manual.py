"""The manual page and the completions, as the build makes them from sweepctl's tables."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

import conftest


def listed_verbs(place):
    lines = place.run("--help").stdout.splitlines()
    return {line.split()[0] for line in lines if line.startswith("  ") and line[2:3].islower()}


def test_the_manual_names_every_verb_and_option(place):
    page = place.run("manual", "man").stdout
    for verb in listed_verbs(place) - {"-?,"}:
        assert f".SS {verb}" in page
    assert "\\-\\-exit\\-status" in page and ".TP\n124\n" in page
    assert "manual" not in listed_verbs(place)


PAGES = {"sweepctl.1": "ctl/sweepctl", "sweepfile.5": None, "sweepd.8": "daemon/sweepd",
         "sweep-worker.1": "worker/sweep-worker", "sweep-forward.8": None}
BUILD = pathlib.Path(conftest.SWEEPCTL).resolve().parents[1]


def page_text(name):
    """A page as the build made it."""
    [path] = [p for p in (BUILD / "ctl/manual" / name, BUILD / "daemon" / name, BUILD / "forward" / name, BUILD / "worker" / name) if p.exists()]
    return path.read_text()


def plain(roff):
    """roff's escapes undone."""
    for escape, text in (("\\-", "-"), ("\\(dq", '"'), ("\\(ti", "~"), ("\\(ha", "^"), ("\\(ga", "`"), ("\\(aq", "'"),
                         ("\\&", ""), ("\\fB", ""), ("\\fI", ""), ("\\fR", ""), ("\\e", "\\")):
        roff = roff.replace(escape, text)
    return roff


@pytest.mark.skipif(not shutil.which("man"), reason="no man")
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_clean_roff(name, tmp_path):
    page = tmp_path / name
    page.write_text(page_text(name))
    done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LANG": "C.UTF-8"})
    assert done.stderr == "" and "NAME" in done.stdout and "SEE ALSO" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc")
@pytest.mark.parametrize("name", PAGES)
def test_pages_pass_lint(name, tmp_path):
    page = tmp_path / name
    page.write_text(page_text(name))
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@pytest.mark.parametrize("name", [n for n, program in PAGES.items() if program])
def test_pages_have_every_option_of_help(name, place):
    program = BUILD / PAGES[name]
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, env=place.env).stdout
    if name == "sweepctl.1":
        shown += "".join(place.run(verb, "--help").stdout for verb in listed_verbs(place) - {"-?,"})
    options = set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", shown, re.M)) - {"help", "usage", "version"}
    page = plain(page_text(name))
    assert len(options) > 9
    assert {o for o in options if f"--{o}" not in page} == set()
    assert "--manual" not in page


def test_exit_codes_of_each_verb_are_in_page_and_help(place):
    page = plain(page_text("sweepctl.1"))
    codes = page.split(".SH EXIT STATUS")[1].split(".SH")[0]
    of_verb = dict(re.findall(r"\.TP\n(\d+)\n.*?\nVerbs: (.*?)\n", codes, re.S))
    assert "wait" in of_verb["124"].split(", ") and "list" not in of_verb["3"].split(", ")
    for verb, documented in conftest.documented_exits().items():
        if verb == "manual":
            continue
        for code in documented:
            assert of_verb[str(code)] == "all" or verb in of_verb[str(code)].split(", ")
        told = " ".join(place.run(verb, "--help").stdout.split("Exit codes: ")[1].split())
        assert {int(part.split()[0]) for part in told.rstrip(".").split(", ") if part[0].isdigit()} == documented


def examples(name):
    return [plain(text) for text in re.findall(r"\.nf\n(.*?)\.fi", page_text(name), re.S)]


def test_sweepfile_examples_are_sweep_files(place, tmp_path):
    texts = examples("sweepfile.5")
    jobs = []
    for number, text in enumerate(texts):
        path = tmp_path / f"example-{number}.yaml"
        path.write_text(text)
        jobs.append(len(place.json("submit", "--dry-run", "--data", tmp_path, path)["jobs"]))
    assert jobs == [8, 9, 3]


def test_sweepfile_has_every_key_and_parameter(place, tmp_path):
    page = plain(page_text("sweepfile.5"))
    entries = set(re.findall(r"^\.B (\w+) \(", page, re.M))
    assert {p["name"] for p in place.json("params")} <= entries
    schema = json.loads((conftest.ROOT / "schema/sweep.schema.json").read_text())
    assert {key for key in schema["properties"] if not key.startswith("$")} <= entries
    for wrong, inside in (("resources: {x: 1}", "resources"), ("metric: {x: 1}", "metric"), ("when: [{x: 1}]", "when")):
        path = tmp_path / "wrong.yaml"
        path.write_text("parameters: {lr: {values: [1, 2]}}\n" + wrong + "\n")
        told = place.run("submit", "--dry-run", path, code=5).stderr
        expected = set(re.search(r'unknown key "x".*?expected: ([\w, ]+)', told, re.S)[1].split(", "))
        assert expected <= entries, inside


def complete(place, tmp_path, *words):
    """What bash offers for the last of the words."""
    script = tmp_path / "completion.bash"
    script.write_text(place.run("manual", "bash").stdout)
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
    assert complete(grid, tmp_path, "db", "") == {"check", "backup"}
    assert {"list", "fetch", "verify"} <= complete(grid, tmp_path, "dataset", "")
    assert complete(grid, tmp_path, "dataset", "fetch", "cif") == {"cifar10", "cifar100"}
    assert complete(grid, tmp_path, "weights", "fetch", "resnet50-") == {"resnet50-v1", "resnet50-v2", "resnet50-tar"}


def test_bash_offers_only_what_the_verb_can_act_on(grid, tmp_path):
    assert complete(grid, tmp_path, "retry", "") == {"s1", "grid", "4"}
    assert complete(grid, tmp_path, "cancel", "") == {"s1", "grid", "3", "5", "6", "7", "8"}
    assert complete(grid, tmp_path, "compare", "s") == {"s1"}
    assert "--metric=" in complete(grid, tmp_path, "compare", "--")
    grid.sql("UPDATE sweep SET name = '$(touch hacked)'")
    assert complete(grid, tmp_path, "show", "") >= {"s1"} and not (tmp_path / "hacked").exists()


def test_completion_of_every_verb_with_targets_knows_jobs(grid, tmp_path):
    for verb in sorted(listed_verbs(grid) - {"-?,"}):
        usage = grid.run(verb, "--help").stdout.splitlines()[0]
        if "TARGET" in usage or "JOB" in usage:
            assert "s1" in complete(grid, tmp_path, verb, ""), verb
        assert "--json" in complete(grid, tmp_path, verb, "--"), verb


def test_completion_is_silent_and_quick_on_any_error(grid, tmp_path):
    grid.store.write_bytes(b"no database" * 1000)
    assert grid.run("manual", "targets").stdout == ""


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_completes_verbs_options_and_targets(grid, tmp_path):
    script = tmp_path / "_sweepctl"
    script.write_text(grid.run("manual", "zsh").stdout)
    subprocess.run(["zsh", "-n", script], check=True)

    def offered(*words):
        # zsh's own helpers replaced by ones that print what they are given
        program = ("_describe() { [[ $1 == -V ]] && shift; print -rl -- ${(P)2}; }; "
                   "_arguments() { print -rl -- $@; for a in $@; do [[ $a == '*:target:{'* ]] && eval ${${a#*\\{}%\\}}; done; }; "
                   f"sweepctl() {{ {conftest.SWEEPCTL} $@; }}; words=(sweepctl {' '.join(words)} ''); "
                   f"CURRENT={len(words) + 2}; source {script}")
        done = subprocess.run(["zsh", "-fc", program], capture_output=True, text=True, env=grid.env, check=False)
        assert done.stderr == "", done.stderr
        return done.stdout.splitlines()
    assert "compare:jobs side by side; what a sweep's parameters do" in offered()
    assert "--best[each job's best epoch instead of its last (chosen on the test set, so it flatters)]" in offered("results")
    assert "4:resnet18 0.05 ReduceLROnPlateau failed" in offered("retry") and "s1:grid" in offered("retry")
    assert not any(line.startswith("1:") for line in offered("retry"))
    assert "*:name:(cifar10 cifar100 mnist fashion-mnist)" in offered("dataset")
