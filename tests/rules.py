"""The rules of the code base: layers, collectives, budgets, forbidden calls, names, packaging, clean files.

Each rule is a function from sources to a list of `file:line message`. `test_architecture.py` holds them against the
repository and against bad samples. Raising a budget is a one-line change here, with its reason.
"""

import ast
import glob
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "prorl"

LAYERS = tuple(
    line.split()
    for line in (
        "records config errors options checks recipe recipes adapters "
        "metrics weights_and_biases terminal distributed seeds durable environment interrupt shipped",
        "algorithm prompts models",
        "rewards rollouts learner health",
        "judging tensor_files checkpoint_format",
        "pool checkpoint schedule",
        "evaluation report datasets asynchronous",
        "assembly frames alike",
        "laboratory rollout_program planning",
        "novelty_findings",
        "findings",
        "other_settings boundary_run run_folder recording",
        "session",
        "train",
        "launch",
        "commands",
        "cli",
    )
)
"""A module imports its own package and the lines above its own; the first line's modules may import each other."""

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
FUNCTION_LINES = {("prorl.train", "train"): 80}
"""The loop may be longer: it is read from top to bottom."""
MAX_ARGUMENTS = 8
MAX_OPTIONS = 120
"""The design said 110; the three of `cluster` and those of the vLLM engine came on top."""
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
DISTRIBUTED = {
    "prorl.distributed": ("torch.distributed",),
    "prorl.learner.fsdp": ("torch.distributed.fsdp", "torch.distributed.tensor", "torch.distributed.device_mesh"),
}
"""Who may name which part of torch.distributed."""

MACHINE_PATH = re.compile(rb"(?<![\w.~-])/(?:work|root|opt|home|Users)/")
REGISTRY = re.compile(
    rb"(?:pypi\.org|pythonhosted\.org|download\.pytorch\.org)|https?://[^\s\"')]*/simple\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Module:
    """One Python source: its dotted name, the path that messages show, and its text."""

    name: str
    path: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    def at(self, node: ast.stmt | ast.expr, message: str) -> str:
        return f"{self.path}:{node.lineno} {message}"


def sample(text: str, name: str = "prorl.pool", is_package: bool = False) -> Module:
    """A source that stands in for a module of the package."""
    return Module(name=name, path="sample.py", text=text, is_package=is_package)


def package_modules() -> list[Module]:
    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(Module(name, str(path.relative_to(ROOT)), path.read_text(), is_package))
    return modules


MODULES = package_modules()


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain or a name; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def imports(module: Module) -> list[tuple[ast.stmt | ast.expr, str]]:
    """Every `module.name` the source imports, at any depth: plain, from, relative, and by `import_module`."""
    found: list[tuple[ast.stmt | ast.expr, str]] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.name.split(".")
                keep = len(up) - node.level + module.is_package
                base = ".".join(up[:keep] + ([node.module] if node.module else []))
            found += [(node, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("import_module", "__import__"):
            found += [
                (node, arg.value) for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
    return found


def layer_of(top: str) -> int:
    return next((index for index, names in enumerate(LAYERS) if top in names), -1)


def layer_violations(module: Module) -> list[str]:
    parts = module.name.split(".")
    own = parts[1] if len(parts) > 1 else ""
    if own and layer_of(own) < 0:
        return [f"{module.path}:1 `{own}` has no layer: add it to LAYERS"]
    found = []
    for node, target in imports(module):
        names = target.split(".")
        if names[0] != "prorl":
            continue
        top = names[1] if len(names) > 1 else ""
        if top in (own, "__version__"):
            continue
        layer = layer_of(top)
        if not own or layer < 0 or layer > layer_of(own) or (layer == layer_of(own) and layer > 0):
            found.append(module.at(node, f"`{module.name}` may not import `{target}`: same or higher layer"))
    return found


def import_cycles(modules: list[Module]) -> list[str]:
    """Modules that import each other, directly or around a corner."""
    names = {module.name for module in modules}
    edges = {}
    for module in modules:
        targets = {target if target in names else target.rpartition(".")[0] for _, target in imports(module)}
        edges[module.name] = (targets & names) - {module.name}
    found, done = [], set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in done:
            for target in sorted(edges[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())
    return found


def distributed_violations(module: Module) -> list[str]:
    allowed = tuple(f"{name}." for name in DISTRIBUTED.get(module.name, ()))
    attributes = [node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in attributes}
    used = imports(module) + [(node, dotted(node)) for node in attributes if id(node) not in inner]
    return [
        module.at(node, f"`{name}`: collectives belong in distributed.py")
        for node, name in used
        if f"{name}.".startswith("torch.distributed.") and not f"{name}.".startswith(allowed)
    ]


def long_files(module: Module) -> list[str]:
    lines = len(module.text.splitlines())
    return [f"{module.path}:1 {lines} lines, at most {MAX_FILE_LINES}"] if lines > MAX_FILE_LINES else []


def long_functions(module: Module) -> list[str]:
    found = []
    for node in functions(module):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        limit = FUNCTION_LINES.get((module.name, node.name), MAX_FUNCTION_LINES)
        if lines > limit:
            found.append(module.at(node, f"`{node.name}` has {lines} lines, at most {limit}"))
    return found


def many_arguments(module: Module) -> list[str]:
    found = []
    for node in functions(module):
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        names += [arg.arg for arg in (node.args.vararg, node.args.kwarg) if arg]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > MAX_ARGUMENTS:
            found.append(module.at(node, f"`{node.name}` takes {count} arguments, at most {MAX_ARGUMENTS}"))
    return found


def options(module: Module) -> list[str]:
    """Every option the module declares: a dataclass field whose value is `option(...)`."""
    return [
        module.at(node, ast.unparse(node.target))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call) and dotted(node.value.func) == "option"
    ]


def guessing_calls(module: Module) -> list[str]:
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "hasattr":
            found.append(module.at(node, "hasattr: ask for the type, or put it in the protocol"))
        elif isinstance(node, ast.Call) and dotted(node.func) == "getattr" and len(node.args) + len(node.keywords) > 2:
            found.append(module.at(node, "getattr with a default hides a missing attribute"))
    return found


def prints(module: Module) -> list[str]:
    if module.name == "prorl.cli":
        return []
    calls = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and dotted(node.func) == "print")
    return [module.at(node, "print outside cli.py") for node in calls]


def bad_names(module: Module) -> list[str]:
    stem = module.name.rpartition(".")[2]
    if stem in VAGUE_NAMES:
        return [f"{module.path}:1 `{stem}` says nothing about its subject"]
    return [f"{module.path}:1 `{stem}` shadows the standard library"] if stem in sys.stdlib_module_names else []


def unpackaged(package: Path, patterns: list[str]) -> list[str]:
    """Files of the package folder that a wheel would leave out."""
    packaged = {name for pattern in patterns for name in glob.glob(pattern, root_dir=package, recursive=True)}
    found = []
    for path in sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = path.relative_to(package).as_posix()
        if path.suffix != ".py" and name not in packaged:
            found.append(f"{name}:1 matches no pattern of package-data")
        elif path.suffix == ".py" and not (path.parent / "__init__.py").exists():
            found.append(f"{name}:1 stands in a folder without __init__.py")
    return found


def repository_files(root: Path) -> list[Path]:
    """The files of the repository: everything that .gitignore does not name."""
    ignored = [".git", *(line.strip("/") for line in (root / ".gitignore").read_text().split())]

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if any(fnmatch(path.name, pattern) for pattern in ignored):
                continue
            if path.is_dir():
                yield from walk(path)
            else:
                yield path

    return list(walk(root))


def foreign_addresses(name: str, content: bytes) -> list[str]:
    """Paths of one machine and addresses of package registries."""
    return [
        f"{name}:{number} {what}: {match.group().decode()}"
        for number, line in enumerate(content.splitlines(), start=1)
        for what, pattern in (("path of one machine", MACHINE_PATH), ("address of a registry", REGISTRY))
        for match in pattern.finditer(line)
    ]


def dead_links(root: Path, document: Path) -> list[str]:
    """Relative links of a Markdown file that lead nowhere."""
    found = []
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
            if "://" not in target and not (document.parent / target).exists():
                found.append(f"{document.relative_to(root)}:{number} no file {target}")
    return found
