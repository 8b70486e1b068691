/* SPDX-License-Identifier: MIT */
/*
 * replay.c - run a target over its corpus: `replay-TARGET DIRECTORY|FILE...`.
 *
 * A file "good-..." has to be accepted, "bad-..." to be rejected; of any other it is enough
 * that nothing goes wrong.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static unsigned int inputs, failures;

static char *read_file(const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	char *data;

	if (!file || stat(path, &st) < 0) {
		perror(path);
		exit(2);
	}
	data = malloc((size_t)st.st_size);
	check(data || st.st_size == 0);
	*ret_length = fread(data, 1, (size_t)st.st_size, file);
	check(*ret_length == (size_t)st.st_size);
	(void)fclose(file);
	return data;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void judge(const char *path, enum verdict verdict)
{
	const char *name = last_part(path);

	if ((strncmp(name, "good-", 5) == 0 && verdict != ACCEPTED) ||
	    (strncmp(name, "bad-", 4) == 0 && verdict != REJECTED)) {
		printf("FAIL %s: was %s\n", path,
		       verdict == ACCEPTED   ? "accepted"
		       : verdict == REJECTED ? "rejected"
					     : "neither accepted nor rejected");
		failures++;
	}
}

static void replay(const char *path)
{
	size_t length;
	char *data = read_file(path, &length);

	/* Said before: it may be the last thing. */
	printf("%s (%zu bytes)\n", path, length);
	(void)fflush(stdout);
	judge(path, fuzz_input(data, length));
	free(data);
	inputs++;
}

static int is_wanted(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay_directory(const char *directory)
{
	struct dirent **names;
	int count = scandir(directory, &names, is_wanted, alphasort);

	if (count < 0) {
		perror(directory);
		exit(2);
	}
	for (int i = 0; i < count; i++) {
		char path[4096];

		(void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]->d_name);
		replay(path);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	struct stat st;

	fuzz_begin();
	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			replay_directory(argv[i]);
		else
			replay(argv[i]);
	}
	printf("%u inputs, %u failed\n", inputs, failures);
	return inputs == 0 || failures ? 1 : 0;
}
