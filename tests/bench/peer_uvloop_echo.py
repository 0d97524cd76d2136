"""TCP echo on 127.0.0.1:PORT by protocols of asyncio on uvloop; prints READY, serves until killed.  usage: peer_uvloop_echo.py PORT"""
import asyncio
import sys

import uvloop


class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)


async def main():
    server = await asyncio.get_running_loop().create_server(Echo, '127.0.0.1', int(sys.argv[-1]), backlog=4096)
    print('READY', flush=True)
    await server.serve_forever()


uvloop.install()
asyncio.run(main())
