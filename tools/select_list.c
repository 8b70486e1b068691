/* SPDX-License-Identifier: MIT */
/*
 * select_list.c - names from a file or a pipe.
 *
 * Read by hand and not by stdio: whoever writes the list may take long, and a signal that
 * comes between two looks at the flag must not leave us waiting for the next name.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "select_walk.h"

#define LOOK_MS 100
#define PIECE 65536

/* No path is longer; a list with such a name is something else. */
#define NAME_LIMIT ((size_t)1 << 20)

struct list {
	struct walk *walk;
	int fd;
	char end;   /* what ends a name */
	char *text; /* a NUL is kept behind it */
	size_t length, capacity;
};

/* Wait until there is something to read. -EINTR when told to stop. */
static int await(const struct list *list)
{
	struct pollfd poll_fd = { .fd = list->fd, .events = POLLIN };

	for (;;) {
		int r = poll(&poll_fd, 1, LOOK_MS);

		if (list->walk->ops->stop(list->walk->ctx))
			return -EINTR;
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

/* Returns the bytes added, 0 at the end, or a negative errno. */
static ssize_t add_piece(struct list *list)
{
	char *grown;
	ssize_t n;
	int r = await(list);

	if (r < 0)
		return r;
	if (list->capacity - list->length < PIECE + 1) {
		grown = realloc(list->text, 2 * list->capacity + PIECE + 1);
		if (!grown)
			return -ENOMEM;
		list->text = grown;
		list->capacity = 2 * list->capacity + PIECE + 1;
	}
	n = read(list->fd, list->text + list->length, PIECE);
	if (n < 0)
		return -errno;
	list->length += (size_t)n;
	list->text[list->length] = 0;
	return n;
}

/* A name of @length bytes, with a NUL behind it. One that has a NUL inside as well is two
 * names of a list that was to be read with -0: the first alone would be a wrong file. */
static int walk_name(struct list *list, char *name, size_t length)
{
	if (length == 0)
		return 0;
	if (memchr(name, 0, length)) {
		walk_error(list->walk, NULL, "open", name, -EINVAL);
		return 0;
	}
	return walk_operand(list->walk, name);
}

/* Walk the names that are there wholly; keep what is behind them. */
static int walk_names(struct list *list)
{
	char *name = list->text, *end;
	size_t left = list->length;
	int r = 0;

	while (r == 0 && left > 0 && (end = memchr(name, list->end, left))) {
		*end = 0;
		r = walk_name(list, name, (size_t)(end - name));
		left -= (size_t)(end + 1 - name);
		name = end + 1;
	}
	memmove(list->text, name, left + 1);
	list->length = left;
	return r;
}

static int walk_open_list(struct list *list, const char *path)
{
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = add_piece(list)) != 0) {
		if (n == -EINTR || n == -ENOMEM)
			return (int)n;
		if (n < 0) {
			walk_error(list->walk, NULL, "read", path, (int)n);
			return 0;
		}
		r = walk_names(list);
		if (r == 0 && list->length > NAME_LIMIT) {
			walk_error(list->walk, NULL, "read", path, -ENAMETOOLONG);
			return 0;
		}
	}
	/* The last name may lack its end mark. */
	if (r == 0)
		r = walk_name(list, list->text, list->length);
	return r;
}

int walk_list(struct walk *walk, const char *path)
{
	struct list list = { .walk = walk, .fd = STDIN_FILENO, .end = '\n' };
	_cleanup_close_ int fd = -1;
	int r;

	if (walk->options->nul)
		list.end = 0;
	if (strcmp(path, "-") != 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0) {
			walk_error(walk, NULL, "read", path, -errno);
			return 0;
		}
		list.fd = fd;
	}
	r = walk_open_list(&list, path);
	free(list.text);
	return r;
}
