"""`reactor.listenSSL` with staples, in a Twisted application whose services start and stop by themselves.

    CERTIFICATE=fullchain.pem PRIVATE_KEY=privkey.pem PORT=8443 twistd -noy examples/listen_ssl.py

`listenSSL` listens at once; `StapleServerEndpoint` in its place would wait for the first staple.
"""

import os

from twisted.application.internet import SSLServer
from twisted.application.service import Application
from twisted.web.server import Site
from twisted.web.static import Data

from staplesrv import SiteCertificate, Stapler

application = Application("staples")

stapler = Stapler([SiteCertificate(os.environ["CERTIFICATE"], os.environ["PRIVATE_KEY"])])
stapler.setServiceParent(application)

page = Data(b"hello\n", "text/plain")
page.isLeaf = True  # for every path
site = Site(page)
SSLServer(int(os.environ["PORT"]), site, stapler.context_factory()).setServiceParent(application)
