/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/udp_direct.h"

#include <unistd.h>

void shunt_udp_direct_init(struct shunt_udp_direct *direct,
			   struct shunt_udp_socket *udp,
			   const struct shunt_sock_opts *opts, bool off)
{
	*direct = (struct shunt_udp_direct){
		.udp = udp, .opts = *opts, .fd = -1, .off = off
	};
}

void shunt_udp_direct_close(struct shunt_udp_direct *direct)
{
	if (direct->fd < 0)
		return;
	direct->dropped += shunt_sock_dropped(direct->fd);
	if (direct->udp->full_fd == direct->fd)
		direct->udp->full_fd = -1;
	close(direct->fd);
	direct->fd = -1;
	direct->peer = NULL;
}

int shunt_udp_direct_aim(struct shunt_udp_direct *direct)
{
	struct shunt_udp_socket *udp = direct->udp;
	const struct shunt_sock_address *to = shunt_udp_address(udp, direct->last);
	int ret = -1;

	direct->row = 0;
	if (to && direct->fd >= 0) {
		ret = connect(direct->fd, &to->any, to->bytes);
	} else if (to) {
		direct->fd = shunt_sock_udp_beside(udp->fd, &udp->transport->local, to,
						   &direct->opts, NULL);
		ret = direct->fd < 0 ? -1 : 1;
	}
	if (ret < 0) {
		shunt_udp_direct_close(direct);
		direct->off = true;
		return -1;
	}
	direct->peer = direct->last;
	return ret;
}

void shunt_udp_direct_forget(struct shunt_udp_direct *direct,
			     const struct shunt_peer_state *peer)
{
	if ((void *)direct->last == peer)
		direct->last = NULL;
	if ((void *)direct->peer == peer)
		shunt_udp_direct_close(direct);
}
