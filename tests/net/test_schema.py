# SPDX-License-Identifier: BSD-2-Clause
"""Schemas, examples, and what the command says about itself: none of it can drift apart."""
import glob
import json
import os
import re
import shutil
import subprocess

import jsonschema
import pytest

import shunt as sh

VALID = sorted(glob.glob(os.path.join(sh.SCHEMAS, "examples/valid/*.json*")))
INVALID = sorted(glob.glob(os.path.join(sh.SCHEMAS, "examples/invalid/*.json*")))
FILES = sorted(glob.glob(os.path.join(sh.SCHEMAS, "*.schema.json")))

# Faults of meaning: the reader refuses them, a JSON Schema cannot express them.
SEMANTIC = set("""
    dscp-not-ip eth-type-not-ip eth-type-other-family families-differ flags-not-in-mask
    flags-without-tcp icmp-number-alone icmp-number-of-both icmp-of-other-family
    icmp-with-flags icmp-with-ports icmp-without-protocol iface-both iface-long key-twice
    limit-burst-large mac-host-bits not-all-addresses not-all-ports not-all-tags port-backwards
    port-of-later-fragment port-without-protocol ports-unknown redirect-consumer-unknown
    rewrite-any-family rewrite-no-tag rewrite-not-ip rewrite-port-of-any rule-name-twice
    set-element-prefix set-element-twice set-service-port set-file-empty set-file-missing set-file-wrong
    set-size-small src-bits-high src-host-bits src-not-an-address src-set-unknown
    syntax-nul-escape tunnel-inner-families tunnel-key-of-vxlan tunnel-mac-in-ipip
    tunnel-not-vni-of-any tunnel-of-later-fragment tunnel-other-protocol tunnel-ports-of-gre
    tunnel-vni-of-gre vlan-inner-of-none
""".split())


def name_of(path):
    return os.path.basename(path).partition(".")[0]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    """Strict JSON of a policy: comments become blanks, strings stay as they are."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', lambda hit: hit.group(1) or " ",
                  text, flags=re.S)


def expected(path, kind):
    """The lines `// expect: pointer  words` of an example."""
    return re.findall(r"^// %s: (.*?)  (.*)$" % kind, read(path), flags=re.M)


def x_macro(header, macro):
    """Third column, the names, of an X-macro of maps/."""
    text = read(os.path.join(sh.ROOT, "maps", header))
    body = re.search(r"#define %s\(X\)(.*?[^\\])\n" % macro, text, flags=re.S).group(1)
    return re.findall(r'\bX\(\w+,\s*\d+,\s*"([^"]+)"', body)


def words(*arguments):
    return subprocess.run([sh.BINARY, *arguments], capture_output=True, text=True, check=True)


# --- schemas ------------------------------------------------------------------------------

@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_schema_is_one_of_draft_2020_12(path):
    schema = json.loads(read(path))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    name = os.path.basename(path).removesuffix(".schema.json")
    assert schema["$id"] == "urn:shunt:schema:%s:1" % name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_schema_lists_every_key_of_its_objects(path):
    def look(node, where):
        if isinstance(node, dict):
            if node.get("type") == "object":
                assert "additionalProperties" in node, where
            for key, item in node.items():
                look(item, where + "/" + key)
        elif isinstance(node, list):
            for at, item in enumerate(node):
                look(item, "%s/%d" % (where, at))

    look(json.loads(read(path)), "")


@pytest.mark.parametrize("definition, header, macro, more", [
    ("hook", "hook.h", "SHUNT_HOOKS", []),
    ("verdict", "verdict.h", "SHUNT_VERDICTS", []),
    ("action", "verdict.h", "SHUNT_VERDICTS", ["count"]),
    ("reason", "reason.h", "SHUNT_REASONS", []),
    ("tunnel_type", "field.h", "SHUNT_TUNNELS", []),
])
def test_the_names_in_schemas_are_those_of_the_headers(definition, header, macro, more):
    names = x_macro(header, macro) + more
    assert len(names) > 2
    found = 0
    for path in FILES:
        enum = json.loads(read(path)).get("$defs", {}).get(definition, {}).get("enum")
        if enum:
            assert enum == names, path
            found += 1
    assert found


def test_every_schema_that_the_sources_name_is_there():
    named = set()
    for folder in ("loader", "user"):
        for path in glob.glob(os.path.join(sh.ROOT, folder, "**/*.[ch]"), recursive=True):
            named.update(re.findall(r'"shunt\.([a-z.]+)/1', read(path).replace('\\"', '"')))
    named -= {"state", "steer"}  # what is pinned, not a reply
    assert named == {os.path.basename(path).removesuffix(".schema.json") for path in FILES}


# --- examples -----------------------------------------------------------------------------

def test_there_are_examples():
    assert len(VALID) >= 25 and len(INVALID) >= 150


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_a_valid_example_is_sound_for_the_schema_and_for_the_reader(path):
    sh.validator("policy").validate(json.loads(without_comments(read(path))))
    reply = sh.shunt("check", path)
    assert reply["valid"] and reply["source"] == path
    # the reader's warnings, and those about rules that are never reached
    warnings = expected(path, "warn") + expected(path, "covered")
    assert len(reply["warnings"]) == len(warnings)
    for pointer, part in warnings:
        assert any(diag["pointer"] == pointer and part in diag["message"]
                   for diag in reply["warnings"]), reply


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_example_is_refused_with_its_pointer_and_words(path):
    lines = expected(path, "expect")
    assert lines
    done = sh.run("check", path)
    assert done.code == 1 and not done.reply["valid"]
    assert len(done.reply["errors"]) == len(lines), done
    for pointer, part in lines:
        assert any(diag["pointer"] == pointer and part in diag["message"]
                   for diag in done.reply["errors"]), done


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_the_schema_refuses_an_invalid_example_unless_its_fault_is_one_of_meaning(path):
    try:
        document = json.loads(without_comments(read(path)))
    except json.JSONDecodeError:
        refused = True
    else:
        refused = not sh.validator("policy").is_valid(document)
    assert refused != (name_of(path) in SEMANTIC)


def test_every_semantic_fault_has_its_example():
    assert SEMANTIC <= {name_of(path) for path in INVALID}


def documented():
    """The JSON of the README and of the policy's page, block by block."""
    return [part for page in ["README.md", "docs/policy.md"]
            for part in re.findall(r"```json\n(.*?)```", read(os.path.join(sh.ROOT, page)), flags=re.S)]


def test_the_examples_in_the_documentation_are_sound(tmp_path):
    whole = [part for part in documented() if '"shunt.policy/1"' in part]
    assert len(whole) > 1
    (tmp_path / "blocked.txt").write_text("203.0.113.0/24  # an example\n2001:db8:bad::/48\n")
    for number, part in enumerate(whole):
        path = tmp_path / ("%d.json" % number)
        path.write_text(part)
        assert sh.shunt("check", path)["valid"]


def test_every_rule_in_the_documentation_is_sound(tmp_path):
    rules = [json.loads(line) for part in documented()
             for line in part.splitlines() if line.startswith('{ "name"')]
    shown = {key for rule in rules for key in [*rule, *rule.get("match", {})]}
    defs = json.loads(read(os.path.join(sh.SCHEMAS, "policy.schema.json")))["$defs"]
    known = {*defs["rule"]["properties"], *defs["match"]["properties"]}
    assert known - shown == {"description"}
    names = set(re.findall(r'"@([a-z]+)"', json.dumps(rules)))
    for rule in rules:
        path = tmp_path / "rule.json"
        path.write_text(json.dumps({
            "schema": "shunt.policy/1", "default": "pass", "rules": [rule],
            "sets": {name: {"type": "prefix"} for name in names},
            "consumers": {"dns": {"kind": "xsk"}}}))
        done = sh.run("check", path)
        assert done.code == 0 and done.reply["valid"], done


# --- help, completion, manual -------------------------------------------------------------

def commands():
    """Names in the list of `shunt help`."""
    listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", words("help").stdout, flags=re.M)
    assert len(listed) >= 15 and "attach" in listed and "set add" in listed, listed
    return listed


def test_help_knows_every_command():
    for command in commands():
        text = words("help", *command.split()).stdout
        assert text.startswith("usage: shunt " + command), text
        assert words(*command.split(), "--help").stdout == text


def test_help_knows_every_kind_of_port_and_its_options():
    listed = re.findall(r"^  ([a-z_]+):\S", words("help", "ports").stdout, flags=re.M)
    there = sh.run("run", "drop", "no-such:port").error.partition("there are ")[2].split(", ")
    assert listed == there and "af_xdp" in listed
    manual = words("man").stdout
    for scheme in listed:
        text = words("help", scheme).stdout
        assert text.startswith("port: %s:" % scheme) and scheme in manual, text
        options = re.findall(r"^  ([a-z-]+)(?:=|  )", text, flags=re.M)
        refused = sh.run("run", "drop", scheme + ":lo,no-such=1").error
        assert options == refused.partition("it has ")[2].split(", "), refused


def test_help_knows_every_transport_and_its_options():
    listed = re.findall(r"^  ([a-z_]+)://", words("help", "transports").stdout, flags=re.M)
    manual = words("man").stdout
    assert "epoll" in listed
    for scheme in listed:
        text = words("help", scheme + "://").stdout
        assert text.startswith("transport: %s://" % scheme) and scheme in manual, text
        assert re.search(r"^  wait=HOW ", text, flags=re.M), text


def test_every_command_that_takes_json_has_a_schema():
    for command in commands():
        if "--json" not in words("help", *command.split()).stdout:
            assert command in ("completion", "man", "help"), command
            continue
        name = command.replace(" ", ".")
        if name in ("set.add", "set.del", "set.replace"):
            name = "set.edit"
        assert os.path.exists(os.path.join(sh.SCHEMAS, name + ".schema.json")), command


def test_completion_is_bash_that_offers_commands_and_options():
    script = words("completion").stdout
    asks = """
        complete_() { COMP_WORDS=(shunt "$@"); COMP_CWORD=$#; _shunt; echo "${COMPREPLY[*]}"; }
        complete_ att; complete_ set te; complete_ run d; complete_ attach b0 --m
        complete_ set add --ne
    """
    done = subprocess.run(["bash", "-c", script + asks], capture_output=True, text=True,
                          check=True)
    assert not done.stderr
    assert done.stdout.splitlines() == ["attach", "test", "dump drop", "--mode", "--netns"]


def test_the_manual_is_sound_roff_with_every_command():
    page = words("man").stdout
    for command in commands():
        assert '.SS "shunt %s' % command in page, command
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, text=True,
                          capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_that_of_the_makefile():
    version = re.search(r"^VERSION := (\S+)", read(os.path.join(sh.ROOT, "Makefile")), re.M)
    assert sh.shunt("version")["version"] == version.group(1)
    assert words("--version").stdout == "shunt %s\n" % version.group(1)


# --- usage --------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, part", [
    (["atach", "b0"], '"atach" is no command: `shunt help` lists them'),
    (["set"], "set needs another word: `shunt help` lists the commands"),
    (["set", "rename", "b0"], '"set rename" is no command'),
    (["attach"], "attach takes INTERFACE: one is missing"),
    (["show", "b0", "b1"], "there is one too many"),
    (["attach", "b0", "--polcy", "x"], "attach has no option --polcy: `shunt help attach`"),
    (["attach", "b0", "-z"], "attach has no option -z"),
    (["attach", "b0", "--policy"], "--policy needs a value: FILE"),
    (["list", "--json=yes"], "--json takes no value"),
])
def test_wrong_usage_exits_with_2_and_says_what_is_right(arguments, part):
    done = sh.run(*arguments, text=True)
    assert done.code == 2 and not done.out
    assert done.err.startswith("shunt: ") and part in done.err


def test_wrong_usage_is_a_reply_too():
    assert '"atach" is no command' in sh.refused("atach", "b0", code=2)


def test_without_a_command_the_list_is_shown():
    done = subprocess.run([sh.BINARY], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: shunt COMMAND" in done.stdout
