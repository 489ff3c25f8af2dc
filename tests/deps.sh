#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs the Debian packages that Shunt is built, tested and measured with, as far as
# they are missing. Debian 12 and 13.
#
#   tests/deps.sh          what `make`, `make test`, `make demo` and `make bench` need
#   tests/deps.sh vm       what guests need, too
set -eu

packages="
	build-essential pkg-config
	clang llvm libclang-rt-dev bpftool
	libbpf-dev libxdp-dev libelf-dev zlib1g-dev libcjson-dev libpcap-dev libxxhash-dev libcmocka-dev
	liburing-dev libsodium-dev
	iproute2 iputils-ping ethtool curl patch iperf3 tcpdump tshark xdp-tools strace procps systemd
	nftables iptables ipset
	libdpdk-dev dpdk-dev
	librdmacm-dev libibverbs-dev
	netcat-openbsd sockperf libfabric-bin ucx-utils gnuplot-nox
	python3 python3-pytest python3-jsonschema
	clang-format clang-tidy shellcheck man-db groff-base
"

# Debian 12's QEMU is too old for guests (tests/vm/fetch), but brings a newer one's libraries.
if [ "${1:-}" = vm ]; then
	packages="$packages qemu-system-x86 busybox-static kmod cpio xz-utils gcc-12"
	packages="$packages ibverbs-providers rdma-core rdmacm-utils perftest"
fi

# Debian 12 names the sanitizers' runtime after clang's version.
if ! apt-cache show libclang-rt-dev >/dev/null 2>&1; then
	packages=$(echo "$packages" | sed 's/libclang-rt-dev/libclang-rt-14-dev/')
fi

missing=
for package in $packages; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
	"install ok installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "make deps: these packages are missing:$missing" >&2
	echo "make deps: run it as root to install them" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
