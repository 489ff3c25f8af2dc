/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/task.h"

static int run(void *self, struct shunt_err *err)
{
	struct shunt_transport_task *task = self;
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(task->transport, messages, SHUNT_BURST);
	int ret = 0;

	if (n)
		ret = task->handle(task->context, task->transport, messages, n, err);
	if (!ret)
		ret = shunt_transport_kick(task->transport, err);
	return ret ? ret : (int)n;
}

static unsigned int wait(void *self, struct pollfd *fds, unsigned int max)
{
	struct shunt_transport_task *task = self;

	return shunt_transport_wait(task->transport, fds, max);
}

static uint64_t due(void *self)
{
	struct shunt_transport_task *task = self;

	return shunt_transport_due(task->transport);
}

struct shunt_task shunt_transport_task(struct shunt_transport_task *task)
{
	return (struct shunt_task){
		.name = "transport", .self = task, .run = run, .wait = wait, .due = due
	};
}
