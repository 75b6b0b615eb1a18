/*
 * steps.h - the files of a job's steps in an archive, and whether together they are the job's log:
 * then they tell exactly where each step begins in the cleaned text (S10, S20).
 *
 * They are compared as cleaned text, line by line: times differ by microseconds to seconds, and
 * byte order marks stand elsewhere (facts: 50 archives). No text is kept, only sizes and a hash of
 * the log and of each file: the files' hashes in a row make that of their text. Pure but for
 * memory; one thread at a time.
 */
#ifndef GHLOGFS_ARCHIVE_STEPS_H
#define GHLOGFS_ARCHIVE_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_STEPS_MAX 2048 /* of a job, as TEXT_STEPS_MAX */

/* A step's part of the cleaned text: [begin, end). */
struct archive_step {
    unsigned number;
    uint64_t begin, end;
};

struct archive_steps;      /* those of one job: some bytes for each file */
struct archive_steps_work; /* 250 KiB to work in; one is enough for all jobs of an archive */

/* NULL: no memory. `timestamps`: whether the cleaned text keeps them. */
struct archive_steps_work *archive_steps_work_create(bool timestamps);
void archive_steps_work_destroy(struct archive_steps_work *work);

int archive_steps_create(struct archive_steps_work *work, struct archive_steps **ret_steps);
void archive_steps_destroy(struct archive_steps *s);

/* The step's number out of "<job>/N_<step>.txt", 0: it is no step's file. `ret_folder_len`: of
 * <job>. */
unsigned archive_steps_parse_name(const char *name, size_t *ret_folder_len);

/* A step's file, or the whole log, which has the number 0: its bytes in any pieces, and whether it
 * was whole. One after the other, also of different jobs. */
void archive_steps_begin(struct archive_steps *s, unsigned number);
void archive_steps_add(struct archive_steps *s, const void *data, size_t len);
void archive_steps_end(struct archive_steps *s, bool good);

/* Whether the files have more lines than the log: then the log is cut. */
bool archive_steps_have_more(const struct archive_steps *s);

/*
 * The ranges in the order of the steps' numbers; `ret_steps` is the caller's to free. Returns their
 * number. 0: the files are not the log, or there are none; -ENOMEM.
 */
int archive_steps_cut(struct archive_steps *s, struct archive_step **ret_steps);

#endif
