"""Calls of a function as steps: plain, async, generators of both kinds."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar, cast

from ams.tracing.capture import capture
from ams.tracing.context import attach, get_current
from ams.tracing.records import StepRecord
from ams.tracing.runtime import logger, runtime
from ams.tracing.step_options import Arguments, StepOptions

F = TypeVar("F", bound=Callable[..., Any])
Begin = Callable[[tuple[Any, ...], dict[str, Any]], StepRecord | None]

CHUNKS_KEPT_MAX = 1_000  # items other than text that a generator yields, kept as its output
STEP_MARK = "__ams_step__"
_LAZY = frozenset({GeneratorType, AsyncGeneratorType, CoroutineType})


def is_function(target: object) -> bool:
    """Whether a decorator was applied to it without parentheses."""
    return target.__class__ is not str and (callable(target) or isinstance(target, staticmethod | classmethod))


def decorate(function: F, options: StepOptions) -> F:
    """Wrap ``function`` so that every call is a step. Exceptions pass unchanged; with tracing off the wrapper only calls it."""
    if isinstance(function, staticmethod | classmethod):
        return cast("F", type(function)(decorate(function.__func__, options)))
    if isinstance(function, type):
        return cast("F", _class(function, options))
    if not callable(function):
        logger.warning("AMS: %r is not a function, so its calls are not traced.", function)
        return cast("F", function)
    begin = _beginning(function, options)
    if inspect.isasyncgenfunction(function):
        step = _async_generator(function, lambda args, kwargs: _Stream(begin(args, kwargs), options))
    elif inspect.isgeneratorfunction(function):
        step = _generator(function, options, begin)
    elif inspect.iscoroutinefunction(function):
        step = _coroutine(function, options, begin)
    else:
        step = _plain(function, options, begin)
    setattr(step, STEP_MARK, True)
    return cast("F", step)


def _class(target: type, options: StepOptions) -> type:
    """Make every call of a public method that the class itself defines, and of ``__call__``, a step named by class and method."""
    for name, member in list(vars(target).items()):
        is_method = isinstance(member, staticmethod | classmethod) or inspect.isfunction(member)
        if not is_method or (name.startswith("_") and name != "__call__") or _is_step(member):
            continue
        prefix = options.name or target.__name__
        setattr(target, name, decorate(cast("Any", member), options.named(prefix if name == "__call__" else f"{prefix}.{name}")))
    return target


def _is_step(member: object) -> bool:
    """Whether a method was decorated itself."""
    function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    return getattr(function, STEP_MARK, False) is True


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None) or type(function).__name__
    if name == "__call__":  # of the class around it
        return str(getattr(function, "__qualname__", name)).split(".")[-2:][0]
    return str(name)


def _beginning(function: Callable[..., Any], options: StepOptions) -> Begin:
    name = options.name or _name_of(function)
    step_type = options.type
    arguments = Arguments(function, is_llm=step_type == "llm")
    has_defaults = arguments.has_defaults

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> StepRecord | None:
        queue = runtime.queue
        if queue is None or options.capture == "none":
            return None
        try:
            record = StepRecord(name, step_type)
            if not options.plain:
                options.apply(record)
            if (args or kwargs or has_defaults) and (runtime.capture_input if options.capture_input is None else options.capture_input):
                arguments.take(record, args, kwargs)
            record.open(queue, None if options.about is None else options.task(record))
        except Exception:  # noqa: BLE001 - the SDK does not raise into the agent
            runtime.report_bug("the start of a step")
            return None
        return record

    return begin


def _end(record: StepRecord, options: StepOptions, result: object) -> None:
    try:
        if result is not None and record.output is None and record.pieces is None and options.wants_output:
            record.output = capture(result)
        record.finish("ok" if record.error_type is None and record.error_message is None else "error")
    except Exception:  # noqa: BLE001 - the SDK does not raise into the agent
        runtime.report_bug("the end of a step")


def _fail(record: StepRecord, error: BaseException) -> None:
    try:
        record.fail(error)
    except Exception:  # noqa: BLE001 - the SDK does not raise into the agent
        runtime.report_bug("the failure of a step")


def _plain(function: Callable[..., Any], options: StepOptions, begin: Begin) -> Callable[..., Any]:
    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        record = begin(args, kwargs)
        if record is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _fail(record, error)
            raise
        if result.__class__ in _LAZY:
            return _follow(record, options, result)
        _end(record, options, result)
        return result

    return step


def _coroutine(function: Callable[..., Any], options: StepOptions, begin: Begin) -> Callable[..., Any]:
    @functools.wraps(function)
    async def step(*args: Any, **kwargs: Any) -> Any:
        record = begin(args, kwargs)
        if record is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            _fail(record, error)
            raise
        _end(record, options, result)
        return result

    return step


class _Stream:
    """A step that spans the pauses of a generator. The generator's context is current only while its body runs."""

    __slots__ = ("_inner", "_options", "_others", "_outer", "_record")

    def __init__(self, record: StepRecord | None, options: StepOptions) -> None:
        self._record = record
        self._options = options
        self._others: list[object] = []
        self._inner = self._outer = get_current()
        if record is not None and record.previous is not None:
            attach(record.previous)

    def enter(self) -> None:
        if self._record is not None:
            self._outer = get_current()
            attach(self._inner)

    def leave(self) -> None:
        if self._record is not None:
            self._inner = get_current()
            attach(self._outer)

    def take(self, item: object) -> None:
        """Record one item: text is streamed and joined, other items are kept as a list."""
        record = self._record
        if record is None or not self._options.wants_output:
            return
        if isinstance(item, str):
            record.stream(item)
        elif len(self._others) < CHUNKS_KEPT_MAX:
            self._others.append(item)

    def end(self, result: object = None) -> None:
        if self._record is not None:
            _end(self._record, self._options, result if result is not None else self._others or None)

    def fail(self, error: BaseException) -> None:
        if self._record is not None:
            _fail(self._record, error)


def _generator(function: Callable[..., Any], options: StepOptions, begin: Begin) -> Callable[..., Any]:
    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        stream = _Stream(begin(args, kwargs), options)
        return (yield from _drive(stream, function(*args, **kwargs)))

    return step


def _drive(stream: _Stream, made: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    sent: object = None
    thrown: BaseException | None = None
    try:
        while True:
            stream.enter()
            try:
                item = made.send(sent) if thrown is None else made.throw(thrown)
            except StopIteration as stop:
                result: object = stop.value
                break
            finally:
                stream.leave()
            sent = thrown = None
            stream.take(item)
            try:
                sent = yield item
            except GeneratorExit:
                made.close()
                raise
            except BaseException as error:  # noqa: BLE001 - the consumer throws it into the generator
                thrown = error
    except BaseException as error:
        stream.fail(error)
        raise
    stream.end(result)
    return result


def _async_generator(function: Callable[..., Any], make_stream: Callable[[tuple[Any, ...], dict[str, Any]], _Stream]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def step(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        stream = make_stream(args, kwargs)
        made: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        sent: object = None
        thrown: BaseException | None = None
        try:
            while True:
                stream.enter()
                try:
                    item = await (made.asend(sent) if thrown is None else made.athrow(thrown))
                except StopAsyncIteration:
                    break
                finally:
                    stream.leave()
                sent = thrown = None
                stream.take(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    await made.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - the consumer throws it into the generator
                    thrown = error
        except BaseException as error:
            stream.fail(error)
            raise
        stream.end()

    return step


def _follow(record: StepRecord, options: StepOptions, result: Any) -> Any:
    """A plain function returned a generator or coroutine: the step ends when that ends."""
    stream = _Stream(record, options)
    if isinstance(result, GeneratorType):
        return _drive(stream, result)
    if isinstance(result, AsyncGeneratorType):
        return _async_generator(_giver(result), lambda _args, _kwargs: stream)()
    return _await(stream, result)


def _giver(made: AsyncGenerator[Any, Any]) -> Callable[[], AsyncGenerator[Any, Any]]:
    def give() -> AsyncGenerator[Any, Any]:
        return made

    return give


async def _await(stream: _Stream, made: Any) -> Any:
    stream.enter()
    try:
        result = await made
    except BaseException as error:
        stream.fail(error)
        raise
    finally:
        stream.leave()
    stream.end(result)
    return result
