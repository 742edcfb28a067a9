package unpack

import (
	"fmt"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layer is one layer of an image, as its manifest and config describe it.
type layer struct {
	digest      digest.Digest // of the blob
	size        int64         // bytes of the blob
	diffID      digest.Digest // of the tar stream
	compression compression.Compression
}

// layerTypes are the media types of layers.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md and
// https://distribution.github.io/distribution/spec/manifest-v2-2/#media-types
var layerTypes = map[string]compression.Compression{
	ocispec.MediaTypeImageLayer:                                    compression.Uncompressed,
	ocispec.MediaTypeImageLayerGzip:                                compression.Gzip,
	ocispec.MediaTypeImageLayerZstd:                                compression.Zstd,
	"application/vnd.docker.image.rootfs.diff.tar":                 compression.Uncompressed,
	"application/vnd.docker.image.rootfs.diff.tar.gzip":            compression.Gzip,
	"application/vnd.docker.image.rootfs.diff.tar.zstd":            compression.Zstd,
	"application/vnd.oci.image.layer.nondistributable.v1.tar":      compression.Uncompressed,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": compression.Gzip,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": compression.Zstd,
}

// manifestTypes are the media types of image manifests; the field is optional.
var manifestTypes = map[string]bool{
	"":                             true,
	ocispec.MediaTypeImageManifest: true,
	"application/vnd.docker.distribution.manifest.v2+json": true,
}

// layers reads and verifies the image manifest d and its config, and pairs layers with their diffIDs.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
func (l layout) layers(d digest.Digest) ([]layer, error) {
	var manifest ocispec.Manifest
	if err := l.read("manifest", d, -1, &manifest); err != nil {
		return nil, err
	}
	path := l.blob(d)
	if manifest.SchemaVersion != 2 || !manifestTypes[manifest.MediaType] || manifest.Config.Digest == "" {
		return nil, fmt.Errorf("manifest: %s is no image manifest (media type %q); name the manifest of one platform, not an index", path, manifest.MediaType)
	}
	var config ocispec.Image
	if err := l.read("config", manifest.Config.Digest, manifest.Config.Size, &config); err != nil {
		return nil, err
	}
	diffIDs := config.RootFS.DiffIDs
	if config.RootFS.Type != "layers" || len(diffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("config: %s has %d diffIDs, expected one for each of the %d layers of %s; build the image again",
			l.blob(manifest.Config.Digest), len(diffIDs), len(manifest.Layers), path)
	}
	layers := make([]layer, len(diffIDs))
	for i, desc := range manifest.Layers {
		kind, known := layerTypes[desc.MediaType]
		if !known {
			return nil, fmt.Errorf("layer %d of %s has the media type %q, which is no layer; build the image again", i+1, path, desc.MediaType)
		}
		for _, digest := range []digest.Digest{desc.Digest, diffIDs[i]} {
			if err := checkDigest(digest); err != nil {
				return nil, fmt.Errorf("layer %d of %s: %w", i+1, path, err)
			}
		}
		layers[i] = layer{desc.Digest, desc.Size, diffIDs[i], kind}
	}
	return layers, nil
}
