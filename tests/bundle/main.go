// Command bundle checks a bundle for the Operator Lifecycle Manager as `operator-sdk bundle validate` does, with the
// library that has the rules: the layout that metadata/annotations.yaml declares, the ClusterServiceVersion, the custom
// resource definitions, how they fit together, and what the catalogs recommend. The one rule that is left out pulls the
// images, which nobody has published. Says what it looked at; ends with 1 when anything is an error or a warning.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	"sigs.k8s.io/yaml"
)

const prefix = "operators.operatorframework.io.bundle."

// layout complains about what metadata/annotations.yaml lacks, or says that is not so.
func layout(directory string) (complaints []string) {
	text, err := os.ReadFile(filepath.Join(directory, "metadata", "annotations.yaml"))
	if err != nil {
		return []string{err.Error()}
	}
	var file struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return []string{"metadata/annotations.yaml: " + err.Error()}
	}
	for name, wanted := range map[string]string{
		"mediatype.v1": "registry+v1", "manifests.v1": "manifests/", "metadata.v1": "metadata/",
	} {
		if found := file.Annotations[prefix+name]; found != wanted {
			complaints = append(complaints, fmt.Sprintf("%s%s is %q and not %q", prefix, name, found, wanted))
		}
	}
	channels := strings.Split(file.Annotations[prefix+"channels.v1"], ",")
	isDefault := false
	for _, channel := range channels {
		isDefault = isDefault || channel != "" && channel == file.Annotations[prefix+"channel.default.v1"]
	}
	if !isDefault {
		complaints = append(complaints, "the default channel is none of the channels")
	}
	if file.Annotations[prefix+"package.v1"] == "" {
		complaints = append(complaints, prefix+"package.v1 is missing")
	}
	return complaints
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bundle DIRECTORY")
		os.Exit(64)
	}
	complaints := layout(os.Args[1])
	bundle, err := manifests.GetBundleFromDir(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, object := range bundle.Objects {
		fmt.Println("looked at", object.GetKind(), object.GetName())
	}
	validators := validation.DefaultBundleValidators.WithValidators(
		validation.OperatorHubV2Validator, validation.StandardCategoriesValidator,
		validation.StandardCapabilitiesValidator, validation.ObjectValidator, validation.GoodPracticesValidator,
		validation.AlphaDeprecatedAPIsValidator,
	)
	results := validators.Validate(bundle.ObjectsToValidate()...)
	if len(results) == 0 {
		complaints = append(complaints, "nothing was checked")
	}
	for _, result := range results {
		for _, found := range result.Errors {
			complaints = append(complaints, found.Error())
		}
		for _, found := range result.Warnings {
			complaints = append(complaints, found.Error())
		}
	}
	fmt.Printf("%d objects, %d results of %d validators\n", len(bundle.Objects), len(results), len(validators))
	for _, complaint := range complaints {
		fmt.Fprintln(os.Stderr, complaint)
	}
	if len(complaints) > 0 {
		os.Exit(1)
	}
}
