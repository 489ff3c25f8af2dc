/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/cleanup.h"

void shunt_nl_start(struct shunt_nl *nl, uint16_t type, uint16_t flags,
		    const void *header, size_t bytes)
{
	memset(nl, 0, sizeof(*nl));
	nl->len = NLMSG_SPACE(bytes);
	nl->head.nlmsg_type = type;
	nl->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	memcpy(NLMSG_DATA(&nl->head), header, bytes);
}

struct nlattr *shunt_nl_put(struct shunt_nl *nl, uint16_t type, const void *data,
			    size_t bytes)
{
	struct nlattr *attr = (struct nlattr *)(nl->bytes + nl->len);

	if (nl->len + NLA_HDRLEN + NLA_ALIGN(bytes) > sizeof(nl->bytes)) {
		nl->overflow = 1;
		return (struct nlattr *)nl->bytes;
	}
	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + bytes;
	if (bytes)
		memcpy((char *)attr + NLA_HDRLEN, data, bytes);
	nl->len += NLA_HDRLEN + NLA_ALIGN(bytes);
	return attr;
}

void shunt_nl_end(struct shunt_nl *nl, struct nlattr *nest)
{
	if (!nl->overflow)
		nest->nla_len = nl->bytes + nl->len - (char *)nest;
}

int shunt_nl_talk(struct shunt_nl *nl, int protocol)
{
	_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	return fd < 0 ? -errno : shunt_nl_talk_over(nl, fd);
}

int shunt_nl_talk_over(struct shunt_nl *nl, int fd)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	if (nl->overflow)
		return -E2BIG;
	nl->head.nlmsg_len = nl->len;
	if (sendto(fd, nl->bytes, nl->len, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	n = recv(fd, nl->bytes, sizeof(nl->bytes), 0);
	if (n < 0)
		return -errno;
	nl->len = n;
	if (!NLMSG_OK(&nl->head, nl->len))
		return -EBADMSG;
	if (nl->head.nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(&nl->head))->error;
	return 0;
}

const void *shunt_nl_find_in(const void *data, size_t len, uint16_t type, size_t *bytes)
{
	const char *at = data;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *attr = (const struct nlattr *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > len)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type) {
			*bytes = attr->nla_len - NLA_HDRLEN;
			return at + NLA_HDRLEN;
		}
		size_t step = NLA_ALIGN(attr->nla_len);

		if (step >= len)
			return NULL;
		at += step;
		len -= step;
	}
	return NULL;
}

const void *shunt_nl_find(const struct shunt_nl *nl, size_t header, uint16_t type,
			  size_t *bytes)
{
	size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(header);

	if (nl->head.nlmsg_type == NLMSG_ERROR || nl->head.nlmsg_len < skip)
		return NULL;
	return shunt_nl_find_in(nl->bytes + skip, nl->head.nlmsg_len - skip, type,
				bytes);
}
