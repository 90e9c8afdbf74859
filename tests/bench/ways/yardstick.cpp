// The limit to compare with: our splitting in C++, one thread, simdjson, OpenSSL and zlib.
// It reads a file, validates every line whole, takes key and tokens, hashes the file and every line, writes one file a
// group and a packed index. It knows well-formed files only, holds no lease and flushes nothing to the disk.
// Usage: yardstick SOURCE FOLDER

#include <fcntl.h>
#include <openssl/evp.h>
#include <simdjson.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

constexpr size_t READ_BYTES = 1 << 20;
constexpr size_t GROUP_BYTES = 256 << 10;

[[noreturn]] void fail(const char *what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

class Sha256 {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *kind = EVP_sha256();

  public:
    void begin() { EVP_DigestInit_ex(context, kind, nullptr); }
    void add(const char *data, size_t length) { EVP_DigestUpdate(context, data, length); }
    void end(char *hex) {
        unsigned char raw[32];
        EVP_DigestFinal_ex(context, raw, nullptr);
        for (int i = 0; i < 32; i++) {
            hex[2 * i] = "0123456789abcdef"[raw[i] >> 4];
            hex[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
        }
        hex[64] = 0;
    }
};

struct Group {
    int file = -1;
    size_t size = 0;
    std::string buffer;

    void flush() {
        for (size_t done = 0; done < buffer.size();) {
            ssize_t wrote = write(file, buffer.data() + done, buffer.size() - done);
            if (wrote < 0) fail("a group can't be written");
            done += static_cast<size_t>(wrote);
        }
        buffer.clear();
    }
};

class Splitter {
    std::string folder;
    std::unordered_map<std::string, Group> groups;
    simdjson::dom::parser parser;
    Sha256 line_hash;
    gzFile index;
    std::string name;

    Group &group_of(std::string_view key) {
        name.assign(key.substr(0, key.find('-')));
        auto [found, fresh] = groups.try_emplace(name);
        if (fresh) {
            found->second.file = open((folder + "/" + name + ".jsonl").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0644);
            if (found->second.file < 0) fail("a group can't be opened");
        }
        return found->second;
    }

  public:
    uint64_t lines = 0, tokens = 0;

    explicit Splitter(const std::string &into) : folder(into), index(gzopen((into + "/index.gz").c_str(), "wb1")) {
        if (index == nullptr) fail("the index can't be opened");
    }

    // `line` is followed by its newline and by SIMDJSON_PADDING readable bytes.
    void add(const char *line, size_t length) {
        lines++;
        simdjson::dom::element row;
        if (parser.parse(line, length, false).get(row)) fail("a line is no JSON");
        std::string_view key;
        if (row["key"].get(key)) fail("a line has no key");
        uint64_t count;
        if (!row.at_pointer("/response/usageMetadata/totalTokenCount").get(count)) tokens += count;
        char hex[65];
        line_hash.begin();
        line_hash.add(line, length);
        line_hash.end(hex);
        Group &group = group_of(key);
        char text[512];
        int size = std::snprintf(text, sizeof text,
            "{\"line\":%llu,\"key\":\"%.*s\",\"outcome\":\"ok\",\"object\":\"bench/%s.jsonl\",\"offset\":%zu,\"length\":%zu,"
            "\"sha256\":\"%s\"}\n",
            static_cast<unsigned long long>(lines), static_cast<int>(key.size()), key.data(), name.c_str(), group.size,
            length, hex);
        gzwrite(index, text, static_cast<unsigned>(size));
        group.buffer.append(line, length + 1);
        group.size += length + 1;
        if (group.buffer.size() >= GROUP_BYTES) group.flush();
    }

    void close_all() {
        for (auto &[_, group] : groups) {
            group.flush();
            close(group.file);
        }
        gzclose(index);
    }

    size_t group_count() const { return groups.size(); }
};

int main(int count, char **arguments) {
    if (count != 3) fail("usage: yardstick SOURCE FOLDER");
    int source = open(arguments[1], O_RDONLY);
    if (source < 0) fail("the source can't be opened");
    Splitter splitter(arguments[2]);
    Sha256 file_hash;
    file_hash.begin();
    std::vector<char> buffer(4 * READ_BYTES);
    size_t held = 0;
    while (true) {
        if (buffer.size() < held + READ_BYTES + simdjson::SIMDJSON_PADDING) buffer.resize(buffer.size() * 2);
        ssize_t got = read(source, buffer.data() + held, READ_BYTES);
        if (got < 0) fail("the source can't be read");
        if (got == 0) break;
        file_hash.add(buffer.data() + held, static_cast<size_t>(got));
        size_t end = held + static_cast<size_t>(got), start = 0;
        const char *from = buffer.data() + held;
        while (const void *newline = std::memchr(from, '\n', static_cast<size_t>(buffer.data() + end - from))) {
            const char *stop = static_cast<const char *>(newline);
            splitter.add(buffer.data() + start, static_cast<size_t>(stop - buffer.data()) - start);
            start = static_cast<size_t>(stop - buffer.data()) + 1;
            from = stop + 1;
        }
        held = end - start;
        std::memmove(buffer.data(), buffer.data() + start, held);
    }
    if (held) fail("the last line has no newline");
    splitter.close_all();
    char hex[65];
    file_hash.end(hex);
    std::printf("{\"lines\":%llu,\"tokens\":%llu,\"objects\":%zu,\"sha256\":\"%s\"}",
        static_cast<unsigned long long>(splitter.lines), static_cast<unsigned long long>(splitter.tokens),
        splitter.group_count(), hex);
}
