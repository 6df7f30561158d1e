"""Websocket addresses and worker channels of this app."""

from channels.routing import ChannelNameRouter, URLRouter
from django.urls import path

from knowledge import search_channel

from . import replay_channel
from .consumers import ChatConsumer
from .runner_channel import CHANNEL
from .socket_auth import SocketAuthentication

websocket_application = SocketAuthentication(URLRouter([path("ws/chat/", ChatConsumer.as_asgi())]))


def worker_application() -> ChannelNameRouter:
    """Imported by the worker only: the runner brings the model layer and the embedder with it."""
    from .runner import TurnRunner

    return ChannelNameRouter(
        {
            CHANNEL: TurnRunner.as_asgi(),
            search_channel.CHANNEL: search_channel.Searcher.as_asgi(),
            replay_channel.CHANNEL: replay_channel.Replayer.as_asgi(),
        }
    )
