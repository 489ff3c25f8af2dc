/* SPDX-License-Identifier: BSD-2-Clause */
/* A kqueue made of epoll, so that the backend for BSD and macOS is tested on Linux. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/ioctl.h>

/*
 * The queue's descriptor is epoll's, which poll() can wait for. What each descriptor in it
 * is watched for is kept here. That one was closed, which takes it out of a kqueue, only
 * epoll knows: when it has to be told of the descriptor as of a new one.
 */
#define QUEUES 1024
#define EVENTS 64

struct watched {
	bool in, out;
	void *in_data, *out_data;
};

struct queue {
	struct watched *at; /* by descriptor */
	size_t room;
};

static struct queue queues[QUEUES]; /* by descriptor */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int kqueue(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd >= QUEUES)
		abort();
	pthread_mutex_lock(&lock);
	if (fd >= 0 && queues[fd].room)
		memset(queues[fd].at, 0, queues[fd].room * sizeof(*queues[fd].at));
	pthread_mutex_unlock(&lock);
	return fd;
}

static struct watched *entry(struct queue *queue, uintptr_t fd)
{
	if (fd >= queue->room) {
		size_t room = 2 * fd + 16;
		struct watched *at = realloc(queue->at, room * sizeof(*at));

		if (!at)
			abort();
		memset(at + queue->room, 0, (room - queue->room) * sizeof(*at));
		queue->at = at;
		queue->room = room;
	}
	return &queue->at[fd];
}

static int control(int queue, int how, int fd, const struct watched *watched)
{
	struct epoll_event event = { .data.fd = fd };

	if (watched->in)
		event.events |= EPOLLIN | EPOLLRDHUP;
	if (watched->out)
		event.events |= EPOLLOUT;
	return epoll_ctl(queue, how, fd, &event) ? -errno : 0;
}

static void set(struct watched *watched, const struct kevent *change, bool on)
{
	if (change->filter == EVFILT_READ) {
		watched->in = on;
		watched->in_data = change->udata;
	} else {
		watched->out = on;
		watched->out_data = change->udata;
	}
}

static int add(int queue, struct watched *watched, const struct kevent *change)
{
	int fd = (int)change->ident, ret;

	set(watched, change, true);
	ret = control(queue, EPOLL_CTL_MOD, fd, watched);
	if (ret != -ENOENT)
		return ret;
	*watched = (struct watched){ 0 };
	set(watched, change, true);
	return control(queue, EPOLL_CTL_ADD, fd, watched);
}

/* A filter that is not there cannot be deleted. */
static int delete (int queue, struct watched *watched, const struct kevent *change)
{
	bool there = change->filter == EVFILT_READ ? watched->in : watched->out;

	if (!there)
		return -ENOENT;
	set(watched, change, false);
	return control(queue,
		       watched->in || watched->out ? EPOLL_CTL_MOD : EPOLL_CTL_DEL,
		       (int)change->ident, watched);
}

static int apply(int queue, const struct kevent *change)
{
	struct watched *watched = entry(&queues[queue], change->ident);

	if (change->filter != EVFILT_READ && change->filter != EVFILT_WRITE)
		return -EINVAL;
	if (change->flags == EV_ADD)
		return add(queue, watched, change);
	if (change->flags == EV_DELETE)
		return delete (queue, watched, change);
	return -EINVAL;
}

/* One that is ready, by each of its filters. */
static int tell(const struct watched *watched, const struct epoll_event *ready,
		struct kevent *events, int room)
{
	bool broken = ready->events & EPOLLERR, hung = ready->events & EPOLLHUP;
	unsigned int error = broken ? ECONNRESET : 0;
	int n = 0, bytes = 0;

	if (watched->in &&
	    ready->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		(void)ioctl(ready->data.fd, FIONREAD, &bytes);
		EV_SET(&events[n], (uintptr_t)ready->data.fd, EVFILT_READ,
		       ready->events & EPOLLRDHUP || hung || broken ? EV_EOF : 0, error,
		       bytes, watched->in_data);
		n++;
	}
	if (n < room && watched->out &&
	    ready->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		EV_SET(&events[n], (uintptr_t)ready->data.fd, EVFILT_WRITE,
		       hung || broken ? EV_EOF : 0, error, 0, watched->out_data);
		n++;
	}
	return n;
}

static int collect(int queue, struct kevent *events, int nevents,
		   const struct timespec *timeout)
{
	/* each may tell twice; what there is no room for is told again */
	int most = nevents > 1 ? nevents / 2 : 1, n = 0, ready, i;
	struct epoll_event at[EVENTS];

	ready = epoll_pwait2(queue, at, most < EVENTS ? most : EVENTS, timeout, NULL);
	if (ready < 0)
		return -1;
	pthread_mutex_lock(&lock);
	for (i = 0; i < ready; i++)
		n += tell(entry(&queues[queue], (uintptr_t)at[i].data.fd), &at[i],
			  events + n, nevents - n);
	pthread_mutex_unlock(&lock);
	return n;
}

int kevent(int queue, const struct kevent *changes, int nchanges, struct kevent *events,
	   int nevents, const struct timespec *timeout)
{
	int i, ret, errors = 0;

	for (i = 0; i < nchanges; i++) {
		pthread_mutex_lock(&lock);
		ret = apply(queue, &changes[i]);
		pthread_mutex_unlock(&lock);
		if (!ret)
			continue;
		if (errors == nevents) {
			errno = -ret;
			return -1;
		}
		events[errors] = changes[i];
		events[errors].flags = EV_ERROR;
		events[errors++].data = -ret;
	}
	return errors || !nevents ? errors : collect(queue, events, nevents, timeout);
}
