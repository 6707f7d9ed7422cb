"""The generated C built and run on the host."""

import sys

import fake_network
import pytest

from quantmcu.build import host_compiler
from quantmcu.build.host import HostModel, SanitizedModel
from quantmcu.build.host_compiler import HostCompiler, find_host_compiler, find_sanitizing_compiler, host_compilers
from quantmcu.errors import ToolError, UsageError


@pytest.fixture(scope="module")
def model():
    with HostModel(fake_network.files()) as model:
        yield model


@pytest.fixture(scope="module")
def sanitizing():
    try:
        find_sanitizing_compiler()
    except ToolError as error:
        pytest.skip(str(error))


def test_describes_the_network(model):
    assert model.info.model == "fake"
    assert model.info.model_sha256 == fake_network.SHA256
    assert [(tensor.name, tensor.bits) for tensor in model.info.outputs] == [("sum", 8), ("quarter", 2), ("total", 32)]
    assert model.info.inputs[1].shape == (1, 2, 3, 5)
    assert model.info.runner == f"host ({find_host_compiler().name} -O2)"
    assert model.steps == ("sum", "reduce")
    assert model.arena_bytes == 30


def test_infers(model):
    for seed in range(20):
        inputs = fake_network.random_inputs(seed)
        assert fake_network.same(model.infer(inputs), fake_network.expected(inputs))


def test_step_by_step_with_a_look_into_the_arena(model):
    inputs = fake_network.random_inputs(1)
    model.load_inputs(inputs)
    arena = model.memory("arena")
    assert arena.size == model.arena_bytes
    assert arena.tobytes() == inputs[0].tobytes()
    model.run_part(0)
    assert arena.tobytes() == fake_network.expected(inputs)[0].tobytes()
    arena[:] = 200
    model.run_part(1)
    assert model.read_outputs()[2] == 6000
    with pytest.raises(UsageError, match="no such part\n  why:  a run has 2 parts"):
        model.run_part(2)
    with pytest.raises(UsageError, match="the compiled network has no such object"):
        model.memory("nothing")


def test_two_models_do_not_share_their_buffers(model):
    with HostModel(fake_network.files(3), optimize="-O0") as other:
        inputs = fake_network.random_inputs(1)
        model.load_inputs(inputs)
        other.infer(fake_network.random_inputs(2, 3))
        model.run_part(0)
        model.run_part(1)
        assert fake_network.same(model.read_outputs(), fake_network.expected(inputs))


def test_a_folder_on_disk(tmp_path):
    for name, text in fake_network.files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with HostModel(tmp_path) as model:
        assert model.steps == ("sum", "reduce")
    with pytest.raises(UsageError, match="there is no such folder with generated C"):
        HostModel(tmp_path / "other")


@pytest.mark.slow
def test_zig_compiles_it_too():
    zig = [compiler for compiler in host_compilers() if compiler.name == "zig cc"]
    if not zig:
        pytest.skip("the Python package ziglang is not installed")
    with HostModel(fake_network.files(), compiler=zig[0]) as model:
        inputs = fake_network.random_inputs(4)
        assert fake_network.same(model.infer(inputs), fake_network.expected(inputs))


def test_the_compilers_words_are_passed_on():
    with pytest.raises(ToolError, match=r"refuses the generated code\n(.|\n)*#error broken on purpose"):
        HostModel({"model.c": "#error broken on purpose\n"})
    with pytest.raises(ToolError, match="there is no C file to compile"):
        HostModel({"model.h": ""})


def test_no_compiler_at_all(monkeypatch):
    monkeypatch.setattr(host_compiler, "host_compilers", list)
    with pytest.raises(ToolError, match=r"there is no C compiler(.|\n)*hint: pip install ziglang"):
        HostModel(fake_network.files())
    with pytest.raises(ToolError, match=r"no C compiler here has working sanitizers"):
        SanitizedModel(fake_network.files())


def test_a_compiler_that_leaves_the_sanitizers_out_is_not_taken(monkeypatch, tmp_path):
    wrapper = tmp_path / "cc"
    wrapper.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\n"
        "arguments = [word for word in sys.argv[1:] if not word.startswith('-fsanitize')]\n"
        f"sys.exit(subprocess.call({list(find_host_compiler().command)!r} + arguments))\n"
    )
    wrapper.chmod(0o755)
    monkeypatch.setattr(host_compiler, "host_compilers", lambda: [HostCompiler("liar", (str(wrapper),))])
    with pytest.raises(ToolError, match="liar: AddressSanitizer did not notice a planted error"):
        SanitizedModel(fake_network.files())


@pytest.mark.usefixtures("sanitizing")
def test_sanitized_inference():
    with SanitizedModel(fake_network.files()) as model:
        assert model.info.model_sha256 == fake_network.SHA256
        for seed in range(5):
            inputs = fake_network.random_inputs(seed)
            assert fake_network.same(model.infer(inputs), fake_network.expected(inputs))
        # behind the end of an arena
        with pytest.raises(ToolError, match=r"AddressSanitizer: global-buffer-overflow"):
            model.infer(fake_network.misbehaving_inputs(fake_network.ARENA))
        with pytest.raises(ToolError, match="ended in the middle"):
            model.infer(fake_network.random_inputs(0))


@pytest.mark.usefixtures("sanitizing")
def test_undefined_behaviour_is_an_error():
    with (
        SanitizedModel(fake_network.files()) as model,
        pytest.raises(ToolError, match=r"runtime error: signed integer overflow: 2147483647 \+ 1"),
    ):
        model.infer(fake_network.misbehaving_inputs(fake_network.OVERFLOW))
