#include "decoder.h"

#include <utility>

#include "candidates.h"
#include "nms.h"
#include "scan.h"

namespace ssd {

namespace {

constexpr std::ptrdiff_t kBestPerClass = 200;  // candidates of a class that reach NMS, as in the MLPerf reference

// Kept per thread, so that a decode allocates nothing once its thread has seen an image as crowded.
struct Scratch {
    std::vector<MapScratch> maps;
    ScanScratch scan;
    std::vector<std::int32_t> survivors;
    Candidates candidates;
    NmsScratch nms;
    std::vector<Detection> detections;
};

}  // namespace

Decoder::Decoder(const std::vector<std::pair<int, int>>& maps, std::vector<float> priors, const Kernels& kernels)
    : priors_(std::move(priors)), kernels_(kernels) {
    for (const auto& [grid, anchors] : maps) {
        maps_.push_back({grid, anchors, anchors_});
        anchors_ += maps_.back().size();
    }
}

const std::vector<Detection>& Decoder::decode(const RawOutput* outputs, const Parameters& parameters) const {
    thread_local Scratch scratch;
    scratch.maps.resize(kMostMaps);
    scratch.candidates.clear();
    for (std::size_t k = 0; k < maps_.size(); ++k) {
        const FeatureMap& map = maps_[k];
        const RawOutput &classes = outputs[k], &boxes = outputs[maps_.size() + k];
        MapScratch& of_map = scratch.maps[k];
        of_map.class_offsets.describe(classes.layout, kClasses * map.anchors, map.grid);
        scratch.survivors.clear();
        scan(classes, of_map.class_offsets, map, parameters.score_threshold, kernels_, scratch.scan, scratch.survivors);
        find_candidates(classes, boxes, map, priors_.data() + 4 * map.first, scratch.survivors,
                        parameters.score_threshold, kernels_, of_map, scratch.candidates);
    }
    select(scratch.candidates, parameters, kBestPerClass, kernels_, scratch.nms, scratch.detections);
    return scratch.detections;
}

std::size_t Decoder::survivors(const RawOutput* outputs, float score_threshold) const {
    thread_local Scratch scratch;
    scratch.maps.resize(kMostMaps);
    scratch.survivors.clear();
    for (std::size_t k = 0; k < maps_.size(); ++k) {
        Offsets& offsets = scratch.maps[k].class_offsets;
        offsets.describe(outputs[k].layout, kClasses * maps_[k].anchors, maps_[k].grid);
        scan(outputs[k], offsets, maps_[k], score_threshold, kernels_, scratch.scan, scratch.survivors);
    }
    return scratch.survivors.size();
}

}  // namespace ssd
