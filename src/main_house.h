/*
 * main_house.h - all the rooms of one mount, built from the ground up and taken down in reverse order.
 *
 * The only place where the rooms are introduced to each other. main's own: one thread.
 */
#ifndef GHLOGFS_MAIN_HOUSE_H
#define GHLOGFS_MAIN_HOUSE_H

#include "options.h"

struct house;

/* Builds the rooms, mounts, starts the threads; the mount answers once the ready fd is readable. What
 * goes wrong is said on stderr. After forking: threads do not survive it. */
int house_create(struct options *options, struct house **ret_house);

int house_get_ready_fd(const struct house *h);
int house_get_ended_fd(const struct house *h);
/* Readable when house_attend has something to do before its second is over. */
int house_get_attend_fd(const struct house *h);

/* From now on messages go to the journal. */
void house_use_journal(struct house *h);

/* Says which signal ends the mount. */
void house_say_ending(struct house *h, int sig);

/* Once a second, and when the attend fd is readable: deadlines, killed readers, a token to be read again. */
void house_attend(struct house *h);

/* Unmounts and ends everything, within a second whoever waits. Takes NULL. */
void house_destroy(struct house *h);

#endif
