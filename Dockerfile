# The image of the standalone proxy. In a clone: docker build -t immichaccess .

# This stage runs on the machine's own platform and cross-compiles. Docker without BuildKit does not set BUILDPLATFORM and TARGETARCH; it
# builds for the machine itself.
FROM --platform=${BUILDPLATFORM:-linux} golang:1.26 AS build
ARG TARGETARCH
WORKDIR /source
COPY . .
RUN CGO_ENABLED=0 GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /immichaccess ./cmd/standalone && mkdir /data

FROM scratch
LABEL org.opencontainers.image.source=https://github.com/immichaccess/immichaccess
# The root certificates of public CAs are Debian's, so that every new build of the image has the current ones.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /source/LICENSE /source/THIRD_PARTY_LICENSES.md /usr/share/doc/immichaccess/
COPY --from=build /immichaccess /usr/bin/
# The default of acme.storage is below XDG_DATA_HOME. A new volume takes over the owner of the directory.
COPY --from=build --chown=65532:65532 /data /data
ENV XDG_DATA_HOME=/data
VOLUME /data
USER 65532:65532
EXPOSE 80 443 443/udp
HEALTHCHECK --interval=10s CMD ["/usr/bin/immichaccess", "healthcheck"]
ENTRYPOINT ["/usr/bin/immichaccess"]
