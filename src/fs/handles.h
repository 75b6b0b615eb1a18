/*
 * handles.h - what is open: files and listings, by the number the kernel was given for them.
 *
 * A handle ends with RELEASE. An unmount of what is in use sends none, so all that is left over
 * ends with the table: the rooms below may then be taken down with nothing of theirs lent out.
 *
 * Any thread; one mutex inside, not held while calling out. Errors: -ENOMEM.
 */
#ifndef GHLOGFS_FS_HANDLES_H
#define GHLOGFS_FS_HANDLES_H

#include "list.h"
#include "views/views.h"

#include <pthread.h>
#include <stdint.h>

struct handles {
    pthread_mutex_t lock;
    struct list open; /* lock */
};

/* Has a file or a listing, and owns it. Neither: a directory that was opened, but not to be read. */
struct handle {
    struct list in_open; /* lock of the table */
    struct view_file *file;
    struct view_listing *listing; /* lock of the table, until it is set */
};

int handles_init(struct handles *all);

/* Ends all that is still open. */
void handles_finish(struct handles *all);

/* Takes the file or the listing (the other is NULL), also on failure. */
int handles_open(struct handles *all, struct view_file *file, struct view_listing *listing,
                 uint64_t *ret_number);
void handles_close(struct handles *all, uint64_t number);

/* NULL: it has none yet. */
const struct view_listing *handles_get_listing(struct handles *all, struct handle *h);

/* Takes the listing; the one that the handle has from now on, if another was first. */
const struct view_listing *handles_set_listing(struct handles *all, struct handle *h,
                                               struct view_listing *listing);

static inline struct handle *handles_get(uint64_t number)
{
    return (struct handle *)(uintptr_t)number;
}

#endif
