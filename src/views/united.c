#include "views/united.h"

#include <errno.h>
#include <stdlib.h>

/* A run as one answer has it. */
struct version {
    const struct facts_run *run;
    bool is_unfiltered;
};

/* By id; of one run the facts that count come first. */
static int compare_versions(const void *a, const void *b)
{
    const struct version *x = a, *y = b;

    if (x->run->id != y->run->id)
        return x->run->id < y->run->id ? -1 : 1;
    if (x->run->attempt != y->run->attempt)
        return x->run->attempt > y->run->attempt ? -1 : 1;
    if (x->run->updated_ms != y->run->updated_ms)
        return x->run->updated_ms > y->run->updated_ms ? -1 : 1;
    return y->is_unfiltered - x->is_unfiltered;
}

static int newest_first(const void *a, const void *b)
{
    const struct facts_run *x = *(const struct facts_run *const *)a;
    const struct facts_run *y = *(const struct facts_run *const *)b;

    if (x->created_ms != y->created_ms)
        return x->created_ms > y->created_ms ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

static size_t add_versions(struct version *versions, size_t used,
                           const struct catalog_answer *answer, bool is_unfiltered)
{
    for (size_t i = 0; answer && i < answer->count; i++)
        versions[used++] = (struct version){answer->runs[i], is_unfiltered};
    return used;
}

/* Keeps of each run the facts that count, if it matches and is not deleted: the unfiltered list
 * covers the time between its oldest and its newest run without a gap. */
static size_t choose(const struct version *versions, size_t count,
                     const struct united_filter *filter, const struct facts_run **runs)
{
    int64_t oldest_ms = INT64_MAX, newest_ms = INT64_MIN;
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t ms = versions[i].run->created_ms;
        if (!versions[i].is_unfiltered || ms == FACTS_NO_TIME)
            continue;
        oldest_ms = ms < oldest_ms ? ms : oldest_ms;
        newest_ms = ms > newest_ms ? ms : newest_ms;
    }
    for (size_t i = 0, next; i < count; i = next) {
        const struct facts_run *run = versions[i].run;
        bool is_listed = false;
        for (next = i; next < count && versions[next].run->id == run->id; next++)
            is_listed |= versions[next].is_unfiltered;
        if (!is_listed && run->created_ms > oldest_ms && run->created_ms < newest_ms)
            continue;
        if (filter->matches(filter, run))
            runs[used++] = run;
    }
    return used;
}

int united_make(const struct catalog_answer *unfiltered,
                const struct catalog_answer *const *filtered, size_t filtered_count,
                const struct united_filter *filter, size_t limit,
                const struct facts_run ***ret_runs, size_t *ret_count)
{
    size_t space = unfiltered ? unfiltered->count : 0, used;
    struct version *versions;
    const struct facts_run **runs;

    for (size_t i = 0; i < filtered_count; i++)
        space += filtered[i] ? filtered[i]->count : 0;
    versions = calloc(space + 1, sizeof(*versions));
    runs = calloc(space + 1, sizeof(*runs));
    if (!versions || !runs) {
        free(versions);
        free(runs);
        return -ENOMEM;
    }
    used = add_versions(versions, 0, unfiltered, true);
    for (size_t i = 0; i < filtered_count; i++)
        used = add_versions(versions, used, filtered[i], false);
    qsort(versions, used, sizeof(*versions), compare_versions);
    used = choose(versions, used, filter, runs);
    free(versions);
    qsort(runs, used, sizeof(const struct facts_run *), newest_first);
    *ret_runs = runs;
    *ret_count = used < limit ? used : limit;
    return 0;
}
