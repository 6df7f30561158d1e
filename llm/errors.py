"""Errors of the model layer. Callers never see a vendor's exception.

LanguageModelError            code
├── ModelUnavailable          unavailable       refused, unknown host, model not installed
├── FirstTokenTimeout         first_token       nothing within 8 s
├── StreamStalled             stalled           silence of 10 s between tokens
├── StreamBroken              broken            connection lost or nonsense in mid-stream
├── AuthenticationFailed      authentication    401, 403
├── RateLimited               rate_limited      429; `retry_after` seconds or None
├── ContextTooLong            context           the prompt does not fit
├── RequestRefused            refused           any other 4xx
├── ServerFailed              server            5xx
├── ModelBusy                 busy              more calls wait for it than it has slots
├── NotCapable                capability        it cannot do what the request needs
├── StructuredOutputFailed    json              no JSON of the wanted form, even after a repair
├── UnknownModel              unknown_model     a name that no provider knows (configuration)
└── NoModelLeft               no_model          every model of the policy failed
"""


class LanguageModelError(Exception):
    """Base of all errors of this layer; `code` is stable and goes over the wire."""

    code = "error"


class ModelUnavailable(LanguageModelError):
    code = "unavailable"


class FirstTokenTimeout(LanguageModelError):
    code = "first_token"


class StreamStalled(LanguageModelError):
    code = "stalled"


class StreamBroken(LanguageModelError):
    code = "broken"


class AuthenticationFailed(LanguageModelError):
    code = "authentication"


class RateLimited(LanguageModelError):
    code = "rate_limited"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ContextTooLong(LanguageModelError):
    code = "context"


class RequestRefused(LanguageModelError):
    code = "refused"


class ServerFailed(LanguageModelError):
    code = "server"


class ModelBusy(LanguageModelError):
    code = "busy"


class NotCapable(LanguageModelError):
    code = "capability"


class StructuredOutputFailed(LanguageModelError):
    code = "json"


class UnknownModel(LanguageModelError):
    code = "unknown_model"


class NoModelLeft(LanguageModelError):
    code = "no_model"
