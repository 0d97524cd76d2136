// main() for builds without libFuzzer: each file that is named, or lies in a folder that is named, is one run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

void run_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(in), {});
    if (!in) {
        std::fprintf(stderr, "cannot read '%s'\n", path.c_str());
        std::exit(1);
    }
    std::fprintf(stderr, "%s\n", path.c_str()); // the last line before it aborts says which
    static_cast<void>(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < argc; ++i) {
        if (!std::filesystem::is_directory(argv[i])) {
            files.emplace_back(argv[i]);
            continue;
        }
        for (const auto& e : std::filesystem::directory_iterator(argv[i])) files.push_back(e.path());
    }
    std::sort(files.begin(), files.end());
    if (files.empty()) {
        std::fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
        return 1;
    }
    for (const std::filesystem::path& f : files) run_file(f);
    std::printf("%zu inputs\n", files.size());
}
