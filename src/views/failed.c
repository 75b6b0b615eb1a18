#include "views/failed.h"

/* --- jobs --- */

bool failed_shows_job(const struct facts_job *job, bool shows_cancelled)
{
    if (job->status != FACTS_COMPLETED)
        return false;
    return facts_is_failed(job->conclusion) ||
           (shows_cancelled && job->conclusion == FACTS_CANCELLED);
}

bool failed_shows_cancelled(const struct facts_job *const *jobs, size_t count, bool run_has_failed)
{
    for (size_t i = 0; i < count; i++)
        if (failed_shows_job(jobs[i], false))
            return false;
    return run_has_failed;
}

/* --- files --- */

void failed_select_files(const struct facts_job *job, struct steps_file *files)
{
    size_t last = job->step_count;
    bool with_cut_off = true, any = false;

    for (size_t i = 0; i < job->step_count && job->conclusion == FACTS_FAILURE; i++)
        with_cut_off &= !(files[i].present && files[i].has_failed);
    for (size_t i = 0; i < job->step_count; i++) {
        if (!files[i].present)
            continue;
        if (last == job->step_count || job->steps[i].number > job->steps[last].number)
            last = i;
        files[i].present = files[i].has_failed || (files[i].is_cut_off && with_cut_off);
        any |= files[i].present;
    }
    if (!any && last < job->step_count)
        files[last].present = true;
}
