#include "nms.h"

#include <algorithm>

namespace ssd {

namespace {

using Entry = NmsScratch::Entry;

bool better(const Entry& a, const Entry& b) { return a.key < b.key; }

bool better_overall(const Entry& a, const Entry& b) { return a.key != b.key ? a.key < b.key : a.label < b.label; }

// Leaves the best `count` of [first, last) at its beginning, in order. Returns their end.
template <typename Less>
Entry* keep_best(Entry* first, Entry* last, std::ptrdiff_t count, Less less) {
    if (last - first > count) {
        std::nth_element(first, first + count, last, less);
        last = first + count;
    }
    std::sort(first, last, less);
    return last;
}

void group_by_class(const Candidates& candidates, NmsScratch& scratch) {
    scratch.ends.assign(kClasses + 1, 0);
    for (const std::int32_t label : candidates.labels) ++scratch.ends[label + 1];
    for (int c = 0; c < kClasses; ++c) scratch.ends[c + 1] += scratch.ends[c];
    scratch.by_class.resize(candidates.keys.size());
    for (std::size_t i = 0; i < candidates.keys.size(); ++i) {
        scratch.by_class[scratch.ends[candidates.labels[i]]++] = {candidates.keys[i], candidates.boxes[i],
                                                                  candidates.labels[i]};
    }
}

void suppress_class(Entry* first, Entry* last, const Candidates& candidates, const Parameters& parameters,
                    std::ptrdiff_t per_class, const Kernels& kernels, NmsScratch& scratch) {
    last = keep_best(first, last, per_class, better);
    const std::ptrdiff_t n = last - first;
    if (n == 1) {
        scratch.kept.push_back(*first);
        return;
    }
    if (static_cast<std::ptrdiff_t>(scratch.alive.size()) < n) {
        for (auto& array : scratch.arrays) array.resize(n);
        scratch.alive.resize(n);
    }
    float* a[5];
    for (int k = 0; k < 5; ++k) a[k] = scratch.arrays[k].data();
    std::uint32_t* alive = scratch.alive.data();
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const Box& box = candidates.box[first[i].box];
        a[0][i] = box.left;
        a[1][i] = box.top;
        a[2][i] = box.right;
        a[3][i] = box.bottom;
        a[4][i] = (box.right - box.left) * (box.bottom - box.top);
    }
    const BoxArrays boxes{a[0], a[1], a[2], a[3], a[4]};
    const auto suppress = parameters.reference_nms ? kernels.suppress_reference : kernels.suppress;
    std::fill_n(alive, n, 1U);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        if (!alive[i]) continue;
        scratch.kept.push_back(first[i]);
        suppress(boxes, i, i + 1, n, parameters.iou_threshold, alive);
    }
}

}  // namespace

void select(const Candidates& candidates, const Parameters& parameters, std::ptrdiff_t per_class,
            const Kernels& kernels, NmsScratch& scratch, std::vector<Detection>& detections) {
    detections.clear();
    if (candidates.keys.empty()) return;
    group_by_class(candidates, scratch);
    scratch.kept.clear();
    Entry* entries = scratch.by_class.data();
    for (int c = 1; c < kClasses; ++c) {
        Entry *first = entries + scratch.ends[c - 1], *last = entries + scratch.ends[c];
        if (first != last) suppress_class(first, last, candidates, parameters, per_class, kernels, scratch);
    }
    Entry* best = scratch.kept.data();
    Entry* end = keep_best(best, best + scratch.kept.size(), parameters.max_detections, better_overall);
    for (; best != end; ++best) {
        const Box& box = candidates.box[best->box];
        detections.push_back(
            {{box.left, box.top, box.right, box.bottom}, Candidates::score_of(best->key), best->label});
    }
}

}  // namespace ssd
