/* SPDX-License-Identifier: Apache-2.0 */
#include "user/loop/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/mem.h"

struct mailbox {
	struct loop *loop; /* borrowed */
	struct loop_source source;
	void *context;
	pthread_mutex_t lock;
	struct list queue;
};

static struct list *mailbox_take(struct mailbox *mailbox, struct list *taken)
{
	list_init(taken);
	pthread_mutex_lock(&mailbox->lock);
	list_splice(taken, &mailbox->queue);
	pthread_mutex_unlock(&mailbox->lock);
	return taken;
}

void mailbox_drain(struct mailbox *mailbox)
{
	struct list taken;
	struct list *node;

	mailbox_take(mailbox, &taken);
	while ((node = list_pop(&taken)) != NULL) {
		struct message *message = list_entry(node, struct message, node);

		message->run(message, mailbox->context);
	}
}

static void mailbox_on_event(struct loop_source *source, uint32_t events)
{
	struct mailbox *mailbox = container_of(source, struct mailbox, source);
	uint64_t ignored;

	(void)events;
	/* Read before draining: a message sent after this makes the descriptor readable again. */
	if (read(source->fd, &ignored, sizeof(ignored)) < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
	mailbox_drain(mailbox);
}

struct mailbox *mailbox_create(struct loop *loop, void *context)
{
	struct mailbox *mailbox = hg_calloc(1, sizeof(*mailbox));
	int fd;

	if (!mailbox)
		return NULL;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	mailbox->loop = loop;
	mailbox->context = context;
	list_init(&mailbox->queue);
	loop_source_init(&mailbox->source, fd, mailbox_on_event);
	if (fd < 0 || loop_source_add(loop, &mailbox->source, EPOLLIN) < 0) {
		if (fd >= 0)
			close(fd);
		hg_free(mailbox);
		return NULL;
	}
	pthread_mutex_init(&mailbox->lock, NULL);
	return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	loop_source_remove(mailbox->loop, &mailbox->source);
	close(mailbox->source.fd);
	pthread_mutex_destroy(&mailbox->lock);
	hg_free(mailbox);
}

void mailbox_send(struct mailbox *mailbox, struct message *message)
{
	uint64_t one = 1;
	bool was_empty;

	pthread_mutex_lock(&mailbox->lock);
	was_empty = list_is_empty(&mailbox->queue);
	list_add_tail(&mailbox->queue, &message->node);
	pthread_mutex_unlock(&mailbox->lock);
	/* Adding ones cannot overflow the counter of an eventfd, and a full one is readable anyway. */
	if (was_empty && write(mailbox->source.fd, &one, sizeof(one)) < 0)
		CHECK(errno == EAGAIN);
}
