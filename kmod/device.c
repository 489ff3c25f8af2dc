// SPDX-License-Identifier: GPL-2.0-only
/* /dev/shunt: a file binds a UDP port and maps its rings (maps/kmod.h). */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/vmalloc.h>

#include "binding.h"

struct shunt_file {
	struct mutex lock;	       /* of SHUNT_KMOD_BIND */
	struct shunt_binding *binding; /* set once; it goes with the file */
};

static struct shunt_binding *binding_of(const struct file *file)
{
	const struct shunt_file *self = file->private_data;

	/* pairs with bind_port(): all of it is there */
	return smp_load_acquire(&self->binding);
}

static int device_open(struct inode *inode, struct file *file)
{
	struct shunt_file *self = kzalloc(sizeof(*self), GFP_KERNEL_ACCOUNT);

	if (!self)
		return -ENOMEM;
	mutex_init(&self->lock);
	file->private_data = self;
	return nonseekable_open(inode, file);
}

/* The last descriptor and the last mapping are gone, by close() or with their process. */
static int device_release(struct inode *inode, struct file *file)
{
	struct shunt_file *self = file->private_data;

	shunt_binding_close(self->binding);
	kfree(self);
	return 0;
}

static long bind_port(struct shunt_file *self, struct shunt_kmod_bind __user *arg)
{
	struct net *net = current->nsproxy->net_ns;
	struct shunt_binding *binding;
	struct shunt_kmod_bind bind;
	long ret;

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (copy_from_user(&bind, arg, sizeof(bind)))
		return -EFAULT;
	if (bind.abi != SHUNT_KMOD_ABI)
		return -EPROTO;
	mutex_lock(&self->lock);
	ret = self->binding ? -EBUSY : shunt_binding_open(&binding, net, &bind);
	if (!ret && copy_to_user(arg, &bind, sizeof(bind))) {
		shunt_binding_close(binding);
		ret = -EFAULT;
	}
	if (!ret)
		/* pairs with binding_of() */
		smp_store_release(&self->binding, binding);
	mutex_unlock(&self->lock);
	return ret;
}

static long tell_stats(struct shunt_binding *binding,
		       struct shunt_kmod_stats __user *arg)
{
	struct shunt_kmod_stats stats;

	shunt_rings_stats(&binding->rings, &stats);
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct shunt_binding *binding = binding_of(file);

	if (command == SHUNT_KMOD_BIND)
		return bind_port(file->private_data, (void __user *)arg);
	if (command != SHUNT_KMOD_SEND && command != SHUNT_KMOD_STATS)
		return -ENOTTY;
	if (!binding)
		return -ENOTCONN;
	if (command == SHUNT_KMOD_SEND)
		return shunt_rings_send(&binding->rings, shunt_binding_send, binding);
	return tell_stats(binding, (void __user *)arg);
}

static __poll_t device_poll(struct file *file, poll_table *table)
{
	struct shunt_binding *binding = binding_of(file);

	if (!binding)
		return EPOLLERR;
	poll_wait(file, &binding->wait, table);
	/* pairs with wq_has_sleeper(): one of both sees the other */
	smp_mb();
	return shunt_rings_readable(&binding->rings) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct shunt_binding *binding = binding_of(file);

	if (!binding)
		return -ENOTCONN;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* looks after lengths and offsets by itself */
	return remap_vmalloc_range(vma, binding->rings.area, vma->vm_pgoff);
}

static const struct file_operations device_ops = {
	.owner = THIS_MODULE, /* what is open or mapped keeps the module */
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = device_poll,
	.mmap = device_mmap,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = SHUNT_KMOD_DEVICE,
	.fops = &device_ops,
	.mode = 0600,
};

static int __init shunt_kmod_init(void)
{
	int ret = shunt_bindings_init();

	if (ret)
		return ret;
	ret = misc_register(&device);
	if (ret)
		shunt_bindings_exit();
	return ret;
}

static void __exit shunt_kmod_exit(void)
{
	misc_deregister(&device);
	shunt_bindings_exit();
}

module_init(shunt_kmod_init);
module_exit(shunt_kmod_exit);
MODULE_DESCRIPTION("Shunt: a UDP port's packets in a mapped ring");
MODULE_LICENSE("GPL");
